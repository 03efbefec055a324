-- +goose Up

-- How often a retry or a repair has held the generation. So an engine that keeps rows between two transactions finds out
-- that another writer may have changed the rows.
ALTER TABLE generations ADD COLUMN holds bigint NOT NULL DEFAULT 0;
