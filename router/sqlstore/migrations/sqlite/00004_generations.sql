-- +goose Up

-- The generations of each read model: each has tables of its own.
CREATE TABLE generations (
	projection text NOT NULL,
	generation integer NOT NULL,
	state      text NOT NULL, -- live, building, ready or old
	since      integer NOT NULL, -- when it came to that state, in milliseconds of Unix time
	definition text NOT NULL, -- of its tables; empty: as they are
	PRIMARY KEY (projection, generation)
) WITHOUT ROWID;

INSERT INTO generations SELECT DISTINCT projection, generation, 'live', 0, '' FROM checkpoints;

-- Whether its generation is the live one: so that one statement reads which one is live and how far it is, and one
-- that moves a checkpoint finds out.
ALTER TABLE checkpoints ADD COLUMN live boolean NOT NULL DEFAULT true;
