-- Batches of which some begin runs: as `append.sql`. Answers with the runs' numbers by place, 0 for one whose id,
-- logical date or key is taken; they are kept with the server, for whoever does not hear the answer.
WITH fence AS (
    SELECT epoch FROM servers
    WHERE epoch = $1 AND connection = $2 AND fenced_by IS NULL
    FOR UPDATE
), wanted AS (
    SELECT *
    FROM unnest(
        $22::INTEGER[], $23::TEXT[], $24::TEXT[], $25::TEXT[], $26::FLOAT8[], $27::FLOAT8[], $28::FLOAT8[],
        $29::TEXT[], $30::TEXT[], $31::TEXT[], $32::BYTEA[], $33::TEXT[], $34::TEXT[], $35::FLOAT8[], $36::FLOAT8[],
        $37::TEXT[], $38::TEXT[]
    ) AS head (
        place, dag_id, run_id, plan_version, queued_at, run_after, logical_date, run_type, triggered_by, caller, conf,
        idempotency_key, state, start_date, end_date, note, outcome
    )
    WHERE EXISTS (SELECT FROM fence)
), begun AS (
    INSERT INTO runs (
        owner, dag_id, run_id, plan_version, queued_at, run_after, logical_date, run_type, triggered_by, caller, conf,
        idempotency_key, state, start_date, end_date, note, outcome
    )
    SELECT
        $1, dag_id, run_id, plan_version, queued_at, run_after, logical_date, run_type, triggered_by, caller, conf,
        idempotency_key, state, start_date, end_date, note, outcome
    FROM wanted
    ORDER BY place DESC
    ON CONFLICT DO NOTHING
    RETURNING run, dag_id, run_id
), placed AS (
    SELECT place, begun.run FROM wanted LEFT JOIN begun USING (dag_id, run_id)
), changed AS (
    UPDATE runs
    SET state = head.state, start_date = head.start_date, end_date = head.end_date, note = head.note,
        outcome = head.outcome
    FROM unnest($5::BIGINT[], $6::TEXT[], $7::FLOAT8[], $8::FLOAT8[], $9::TEXT[], $10::TEXT[])
        AS head (run, state, start_date, end_date, note, outcome)
    WHERE runs.run = head.run AND EXISTS (SELECT FROM fence)
), kept AS (
    -- A run that begins here has no number yet: its records have its place, below zero.
    INSERT INTO records (run, id, time, kind, data, event)
    SELECT coalesce(placed.run, record.run), id, time, kind, data, event
    FROM unnest($11::BIGINT[], $12::INTEGER[], $13::FLOAT8[], $14::TEXT[], $15::TEXT[], $16::BYTEA[])
        AS record (run, id, time, kind, data, event)
    LEFT JOIN placed ON placed.place = record.run
    WHERE (record.run > 0 OR placed.run IS NOT NULL) AND EXISTS (SELECT FROM fence)
), told AS (
    INSERT INTO items (kind, key, value, created, updated)
    SELECT kind, key, value, time, time
    FROM unnest($17::BIGINT[], $18::TEXT[], $19::TEXT[], $20::BYTEA[], $21::FLOAT8[])
        AS item (run, kind, key, value, time)
    LEFT JOIN placed ON placed.place = item.run
    WHERE (item.run > 0 OR placed.run IS NOT NULL) AND EXISTS (SELECT FROM fence)
), marked AS (
    UPDATE servers
    SET last_group = $3, last_begun = ARRAY(SELECT coalesce(run, 0) FROM placed ORDER BY place DESC)
    WHERE epoch = $1 AND EXISTS (SELECT FROM fence)
    RETURNING last_begun
)
SELECT last_begun, set_config('synchronous_commit', $4, TRUE) FROM marked
