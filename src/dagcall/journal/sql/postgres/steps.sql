-- Which steps of `schema/` were applied. `breaking`: code that does not know the step cannot work on what it made.
CREATE TABLE IF NOT EXISTS schema_steps (
    number INTEGER PRIMARY KEY,
    name TEXT NOT NULL,
    breaking BOOLEAN NOT NULL,
    applied_at TIMESTAMPTZ NOT NULL DEFAULT now()
)
