SELECT plan FROM plans WHERE dag_id = ? AND version = ?
