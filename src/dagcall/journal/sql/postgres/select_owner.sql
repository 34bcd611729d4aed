SELECT owner FROM runs WHERE dag_id = $1 AND run_id = $2
