DELETE FROM asset_queue WHERE dag_id = ? AND asset_id = ? AND created_at = ?
