SELECT run FROM runs WHERE dag_id = ? AND run_id = ?
