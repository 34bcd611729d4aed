INSERT INTO runs (
    dag_id, run_id, plan_version, queued_at, run_after, logical_date, run_type, triggered_by, caller, conf,
    idempotency_key, state, start_date, end_date, note, outcome, crc
)
VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)
ON CONFLICT DO NOTHING
