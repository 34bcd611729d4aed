INSERT INTO asset_events (
    id, asset_id, timestamp, source_dag_id, source_task_id, source_run_id, source_map_index, extra, aliases,
    partition_key
) VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10)
