SELECT kind, key, value, number, created, updated FROM items
WHERE kind = $1 AND key >= $2 AND key < $3 AND number > $4
ORDER BY number LIMIT $5
