-- `checksum` is journal/checksums.py: of the row's other columns, `run`, `number` and the times of items excepted.
ALTER TABLE records ADD COLUMN crc INTEGER NOT NULL DEFAULT -1;
UPDATE records SET crc = checksum(entry, time, kind, data, event);
ALTER TABLE runs ADD COLUMN crc INTEGER NOT NULL DEFAULT -1;
UPDATE runs SET crc = checksum(
    dag_id, run_id, state, plan_version, queued_at, run_after, logical_date, start_date, end_date, run_type,
    triggered_by, caller, conf, note, idempotency_key, outcome
);
ALTER TABLE plans ADD COLUMN crc INTEGER NOT NULL DEFAULT -1;
UPDATE plans SET crc = checksum(dag_id, version, plan);
ALTER TABLE items ADD COLUMN crc INTEGER NOT NULL DEFAULT -1;
UPDATE items SET crc = checksum(kind, key, value)
