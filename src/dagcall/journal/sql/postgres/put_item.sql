INSERT INTO items (kind, key, value, created, updated) VALUES ($1, $2, $3, $4, $4)
ON CONFLICT (kind, key) DO UPDATE SET value = excluded.value, updated = excluded.updated
RETURNING number
