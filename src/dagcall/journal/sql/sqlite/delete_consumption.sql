DELETE FROM asset_consumption WHERE dag_id = ? AND run_id = ?
