-- +goose Up

-- Parked streams are few, and queries ask often.
CREATE INDEX heads_parked ON heads (projection, generation, stream) WHERE parked <> '';
