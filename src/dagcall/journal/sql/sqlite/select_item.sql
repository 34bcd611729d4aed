SELECT kind, key, value, number, created, updated FROM items WHERE kind = ? AND key = ?
