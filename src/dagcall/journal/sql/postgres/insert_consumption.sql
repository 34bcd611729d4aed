INSERT INTO asset_consumption (event_id, dag_id, run_id, triggering) VALUES ($1, $2, $3, $4)
