SELECT id, time, kind, data, event
FROM records
WHERE run = (SELECT run FROM runs WHERE dag_id = $1 AND run_id = $2) AND id > $3
ORDER BY id
