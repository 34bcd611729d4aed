SELECT kind, key, value, number, created, updated, crc FROM items
WHERE kind = ? AND key >= ? AND key < ? AND number > ?
ORDER BY number LIMIT ?
