-- Begins a transaction of several statements: the server's row is its fence. No row: the server is fenced.
UPDATE servers SET last_group = $3
WHERE epoch = $1 AND connection = $2 AND fenced_by IS NULL
RETURNING set_config('synchronous_commit', $4, TRUE)
