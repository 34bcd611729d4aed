SELECT kind, key, value, number, created, updated FROM items WHERE kind = $1 AND key = $2
