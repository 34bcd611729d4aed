INSERT INTO plans (dag_id, version, plan) VALUES (?, ?, ?) ON CONFLICT (dag_id, version) DO NOTHING
