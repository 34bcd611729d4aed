DELETE FROM items WHERE kind = ? AND key = ?
