-- The other servers that may write, and how many seconds are left of their leases: NULL where one was given up.
SELECT servers.epoch, extract(EPOCH FROM until - clock_timestamp())::FLOAT8 AS "left"
FROM servers LEFT JOIN leases USING (epoch)
WHERE fenced_by IS NULL AND servers.epoch <> $1
