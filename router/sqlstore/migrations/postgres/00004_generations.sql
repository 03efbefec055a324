-- +goose Up

-- The generations of each read model. Each generation has its own tables.
CREATE TABLE generations (
	projection text COLLATE "C" NOT NULL,
	generation bigint NOT NULL,
	state      text COLLATE "C" NOT NULL, -- live, building, ready or old
	since      bigint NOT NULL, -- when the state began, in milliseconds of Unix time
	definition text COLLATE "C" NOT NULL, -- of the tables; empty in old stores
	PRIMARY KEY (projection, generation)
);

INSERT INTO generations SELECT DISTINCT projection, generation, 'live', 0, '' FROM checkpoints;

-- Whether the generation is live. So one statement reads the live generation and its checkpoints, and a statement that
-- moves a checkpoint checks that the generation is live.
ALTER TABLE checkpoints ADD COLUMN live boolean NOT NULL DEFAULT true;
