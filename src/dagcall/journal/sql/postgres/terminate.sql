-- Ends a connection of ours that is lost on our side only, if it still has the server's lock.
SELECT pg_terminate_backend(pid)
FROM pg_locks
WHERE locktype = 'advisory' AND database = (SELECT oid FROM pg_database WHERE datname = current_database())
    AND classid = $1::INTEGER::OID AND objid = $2::INTEGER::OID AND objsubid = 2 AND pid = $3
