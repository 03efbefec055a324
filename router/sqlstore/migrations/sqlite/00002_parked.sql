-- +goose Up

-- The parked streams are few, and asked for often.
CREATE INDEX heads_parked ON heads (projection, generation, stream) WHERE parked <> '';
