-- Answers with the seconds that were left of it. No row: the server is fenced.
WITH mine AS (
    SELECT epoch, until FROM leases JOIN servers USING (epoch) WHERE epoch = $1 AND fenced_by IS NULL
)
UPDATE leases SET until = clock_timestamp() + make_interval(secs => $2)
FROM mine
WHERE leases.epoch = mine.epoch
RETURNING extract(EPOCH FROM mine.until - clock_timestamp())::FLOAT8
