SELECT plan, crc FROM plans WHERE dag_id = ? AND version = ?
