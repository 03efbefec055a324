-- +goose Up

-- The position of the stream's last decided command: topic id, and offset in topic commands. The topic id is empty if the
-- position is unknown, as in all older rows.
ALTER TABLE heads ADD COLUMN command_topic text COLLATE "C" NOT NULL DEFAULT '';
ALTER TABLE heads ADD COLUMN command_offset bigint NOT NULL DEFAULT 0;
