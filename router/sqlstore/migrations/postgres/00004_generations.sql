-- +goose Up

-- The generations of each read model: each has tables of its own.
CREATE TABLE generations (
	projection text COLLATE "C" NOT NULL,
	generation bigint NOT NULL,
	state      text COLLATE "C" NOT NULL, -- live, building, ready or old
	since      bigint NOT NULL, -- when it came to that state, in milliseconds of Unix time
	definition text COLLATE "C" NOT NULL, -- of its tables; empty: as they are
	PRIMARY KEY (projection, generation)
);

INSERT INTO generations SELECT DISTINCT projection, generation, 'live', 0, '' FROM checkpoints;

-- Whether its generation is the live one: so that one statement reads which one is live and how far it is, and one
-- that moves a checkpoint finds out.
ALTER TABLE checkpoints ADD COLUMN live boolean NOT NULL DEFAULT true;
