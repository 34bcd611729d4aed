-- Fences who gave the lease up, and those of $2 whose lease has run out. From then on nothing of theirs is written; one
-- that is committing is left for the next time.
WITH dead AS (
    SELECT servers.epoch
    FROM servers LEFT JOIN leases USING (epoch)
    WHERE fenced_by IS NULL AND servers.epoch <> $1
        AND (until IS NULL OR (servers.epoch = ANY($2::BIGINT[]) AND until < clock_timestamp()))
    FOR UPDATE OF servers SKIP LOCKED
)
UPDATE servers SET fenced_by = $1
FROM dead
WHERE servers.epoch = dead.epoch
RETURNING servers.epoch, host, pid
