INSERT OR REPLACE INTO asset_queue (dag_id, asset_id, created_at) VALUES (?, ?, ?)
