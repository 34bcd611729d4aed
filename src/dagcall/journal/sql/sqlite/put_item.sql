INSERT INTO items (kind, key, value, created, updated) VALUES (?, ?, ?, ?, ?)
ON CONFLICT (kind, key) DO UPDATE SET value = excluded.value, updated = excluded.updated
RETURNING number
