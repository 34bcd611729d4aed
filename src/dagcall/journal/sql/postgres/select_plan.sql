SELECT plan FROM plans WHERE dag_id = $1 AND version = $2
