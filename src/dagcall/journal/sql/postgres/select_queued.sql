SELECT dag_id, asset_id, created_at FROM asset_queue ORDER BY created_at
