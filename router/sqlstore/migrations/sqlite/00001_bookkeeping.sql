-- +goose Up

-- How far each partition of the log is folded into a read model.
CREATE TABLE checkpoints (
	projection  text NOT NULL,
	generation  integer NOT NULL,
	partition   integer NOT NULL,
	next_offset integer NOT NULL,
	digest      blob NOT NULL,
	PRIMARY KEY (projection, generation, partition)
) WITHOUT ROWID;

-- Where each stream stands in a read model.
CREATE TABLE heads (
	projection    text NOT NULL,
	generation    integer NOT NULL,
	stream        text NOT NULL,
	seq           integer NOT NULL,
	version       integer NOT NULL,
	digest        blob NOT NULL,
	parked        text NOT NULL,
	parked_offset integer NOT NULL,
	PRIMARY KEY (projection, generation, stream)
) WITHOUT ROWID;
