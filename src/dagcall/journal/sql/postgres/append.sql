-- Batches that continue runs: one statement, so one transaction and one round trip. No row: the server is fenced.
WITH fence AS (
    UPDATE servers SET last_group = $3
    WHERE epoch = $1 AND connection = $2 AND fenced_by IS NULL
    RETURNING epoch
), changed AS (
    UPDATE runs
    SET state = head.state, start_date = head.start_date, end_date = head.end_date, note = head.note,
        outcome = head.outcome
    FROM unnest($5::BIGINT[], $6::TEXT[], $7::FLOAT8[], $8::FLOAT8[], $9::TEXT[], $10::TEXT[])
        AS head (run, state, start_date, end_date, note, outcome)
    WHERE runs.run = head.run AND EXISTS (SELECT FROM fence)
), kept AS (
    INSERT INTO records (run, id, time, kind, data, event)
    SELECT run, id, time, kind, data, event
    FROM unnest($11::BIGINT[], $12::INTEGER[], $13::FLOAT8[], $14::TEXT[], $15::TEXT[], $16::BYTEA[])
        AS record (run, id, time, kind, data, event)
    WHERE EXISTS (SELECT FROM fence)
), told AS (
    INSERT INTO items (kind, key, value, created, updated)
    SELECT kind, key, value, time, time
    FROM unnest($17::BIGINT[], $18::TEXT[], $19::TEXT[], $20::BYTEA[], $21::FLOAT8[])
        AS item (run, kind, key, value, time)
    WHERE EXISTS (SELECT FROM fence)
)
SELECT set_config('synchronous_commit', $4, TRUE) FROM fence
