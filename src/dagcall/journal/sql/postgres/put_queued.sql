INSERT INTO asset_queue (dag_id, asset_id, created_at) VALUES ($1, $2, $3)
ON CONFLICT (dag_id, asset_id) DO UPDATE SET created_at = excluded.created_at
