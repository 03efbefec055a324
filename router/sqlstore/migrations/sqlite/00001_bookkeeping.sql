-- +goose Up

-- The progress of each partition of the log in a read model.
CREATE TABLE checkpoints (
	projection  text NOT NULL,
	generation  integer NOT NULL,
	partition   integer NOT NULL,
	next_offset integer NOT NULL,
	digest      blob NOT NULL,
	PRIMARY KEY (projection, generation, partition)
) WITHOUT ROWID;

-- The state of each stream in a read model.
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
