INSERT INTO plans (dag_id, version, plan, crc) VALUES (?, ?, ?, ?) ON CONFLICT (dag_id, version) DO NOTHING
