INSERT INTO items (kind, key, value, created, updated, crc) VALUES (?, ?, ?, ?, ?, ?)
ON CONFLICT (kind, key) DO UPDATE SET value = excluded.value, updated = excluded.updated, crc = excluded.crc
RETURNING number
