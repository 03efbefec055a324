-- +goose Up

-- The generations of each read model. Each generation has its own tables.
CREATE TABLE generations (
	projection text NOT NULL,
	generation integer NOT NULL,
	state      text NOT NULL, -- live, building, ready or old
	since      integer NOT NULL, -- when the state began, in milliseconds of Unix time
	definition text NOT NULL, -- of the tables; empty in old stores
	PRIMARY KEY (projection, generation)
) WITHOUT ROWID;

INSERT INTO generations SELECT DISTINCT projection, generation, 'live', 0, '' FROM checkpoints;

-- Whether the generation is live. So one statement reads the live generation and its checkpoints, and a statement that
-- moves a checkpoint checks that the generation is live.
ALTER TABLE checkpoints ADD COLUMN live boolean NOT NULL DEFAULT true;
