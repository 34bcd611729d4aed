SELECT
    id, asset_id, timestamp, source_dag_id, source_task_id, source_run_id, source_map_index, extra, aliases,
    partition_key
FROM asset_events
