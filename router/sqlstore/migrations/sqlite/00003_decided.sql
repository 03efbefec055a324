-- +goose Up

-- How far a stream's commands have outcomes: the last one's topic id and offset in topic commands. Empty, as in all rows
-- from before this column was there, for none known.
ALTER TABLE heads ADD COLUMN command_topic text NOT NULL DEFAULT '';
ALTER TABLE heads ADD COLUMN command_offset integer NOT NULL DEFAULT 0;
