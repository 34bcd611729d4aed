SELECT
    run, dag_id, run_id, state, plan_version, queued_at, run_after, logical_date, start_date, end_date, run_type,
    triggered_by, caller, conf, note, idempotency_key, outcome,
    coalesce((SELECT id FROM records WHERE records.run = runs.run ORDER BY id DESC LIMIT 1), 0) AS last_record
FROM runs
