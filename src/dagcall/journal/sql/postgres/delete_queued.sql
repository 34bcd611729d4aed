DELETE FROM asset_queue WHERE dag_id = $1 AND asset_id = $2 AND created_at = $3
