-- +goose Up

-- The progress of each partition of the log in a read model.
CREATE TABLE checkpoints (
	projection  text COLLATE "C" NOT NULL,
	generation  bigint NOT NULL,
	partition   integer NOT NULL,
	next_offset bigint NOT NULL,
	digest      bytea NOT NULL,
	PRIMARY KEY (projection, generation, partition)
);

-- The state of each stream in a read model.
CREATE TABLE heads (
	projection    text COLLATE "C" NOT NULL,
	generation    bigint NOT NULL,
	stream        text COLLATE "C" NOT NULL,
	seq           bigint NOT NULL,
	version       bigint NOT NULL,
	digest        bytea NOT NULL,
	parked        text COLLATE "C" NOT NULL,
	parked_offset bigint NOT NULL,
	PRIMARY KEY (projection, generation, stream)
);
