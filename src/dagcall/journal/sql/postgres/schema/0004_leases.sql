-- Until when a server counts as alive, by the database's clock; no row: it has given its runs up, or is of a version
-- that knows no leases. Not in `servers`: a group that is being committed locks the row there. Renewed all the time, so
-- with room on the page.
CREATE TABLE leases (
    epoch BIGINT PRIMARY KEY,
    until TIMESTAMPTZ NOT NULL
) WITH (fillfactor = 20);
CREATE INDEX servers_unfenced ON servers (epoch) WHERE fenced_by IS NULL;
