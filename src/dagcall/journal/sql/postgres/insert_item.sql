INSERT INTO items (kind, key, value, created, updated) VALUES ($1, $2, $3, $4, $4)
ON CONFLICT DO NOTHING
RETURNING number
