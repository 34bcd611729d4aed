INSERT INTO plans (dag_id, version, plan) VALUES ($1, $2, $3) ON CONFLICT DO NOTHING
