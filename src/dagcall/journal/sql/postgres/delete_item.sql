WITH gone AS (DELETE FROM items WHERE kind = $1 AND key = $2 RETURNING 1) SELECT count(*) FROM gone
