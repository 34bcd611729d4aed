SELECT
    run, dag_id, run_id, state, plan_version, queued_at, run_after, logical_date, start_date, end_date, run_type,
    triggered_by, caller, conf, note, idempotency_key, outcome,
    coalesce((SELECT entry & 0xffffffff FROM records
              WHERE entry > run << 32 AND entry < (run + 1) << 32
              ORDER BY entry DESC LIMIT 1), 0) AS last_record,
    crc
FROM runs
