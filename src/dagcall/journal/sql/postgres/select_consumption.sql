SELECT event_id, dag_id, run_id, triggering FROM asset_consumption WHERE event_id = ANY($1::BIGINT[]) ORDER BY number
