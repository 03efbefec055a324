-- +goose Up

-- The position of the stream's last decided command: topic id, and offset in topic commands. The topic id is empty if the
-- position is unknown, as in all older rows.
ALTER TABLE heads ADD COLUMN command_topic text NOT NULL DEFAULT '';
ALTER TABLE heads ADD COLUMN command_offset integer NOT NULL DEFAULT 0;
