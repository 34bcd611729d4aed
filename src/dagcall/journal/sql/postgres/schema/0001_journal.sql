-- One row a life of a server, from its opening of the journal on. Every transaction of a server changes its row under
-- its epoch and the number of its connection: it is the fence, and tells which group was committed last. Room on the
-- page keeps those changes out of the index.
CREATE TABLE servers (
    epoch BIGINT PRIMARY KEY,
    connection INTEGER NOT NULL DEFAULT 1,
    fenced_by BIGINT,
    last_group BIGINT NOT NULL DEFAULT 0,
    last_begun BIGINT[] NOT NULL DEFAULT '{}',
    host TEXT NOT NULL,
    pid INTEGER NOT NULL,
    opened_at TIMESTAMPTZ NOT NULL DEFAULT now()
) WITH (fillfactor = 20);

CREATE TABLE plans (
    dag_id TEXT COLLATE "C" NOT NULL,
    version TEXT COLLATE "C" NOT NULL,
    plan BYTEA NOT NULL,
    PRIMARY KEY (dag_id, version)
);

-- `run` grows in the order of acceptance; `owner` is the epoch of the server that drives the run.
CREATE TABLE runs (
    run BIGINT GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    owner BIGINT NOT NULL,
    dag_id TEXT COLLATE "C" NOT NULL,
    run_id TEXT COLLATE "C" NOT NULL,
    plan_version TEXT COLLATE "C" NOT NULL,
    queued_at DOUBLE PRECISION NOT NULL,
    run_after DOUBLE PRECISION NOT NULL,
    logical_date DOUBLE PRECISION,
    run_type TEXT COLLATE "C" NOT NULL,
    triggered_by TEXT COLLATE "C" NOT NULL,
    caller TEXT COLLATE "C" NOT NULL,
    conf BYTEA NOT NULL,
    idempotency_key TEXT COLLATE "C",
    state TEXT COLLATE "C" NOT NULL,
    start_date DOUBLE PRECISION,
    end_date DOUBLE PRECISION,
    note TEXT COLLATE "C",
    outcome TEXT COLLATE "C" NOT NULL,
    UNIQUE (dag_id, run_id)
);
CREATE INDEX runs_unfinished ON runs (run) WHERE state IN ('queued', 'running');
CREATE INDEX runs_by_run_after ON runs (run_after);
CREATE INDEX runs_by_idempotency_key ON runs (dag_id, idempotency_key) WHERE idempotency_key IS NOT NULL;
CREATE UNIQUE INDEX runs_by_logical_date ON runs (dag_id, logical_date) WHERE logical_date IS NOT NULL;

CREATE TABLE records (
    run BIGINT NOT NULL,
    id INTEGER NOT NULL,
    time DOUBLE PRECISION NOT NULL,
    kind TEXT COLLATE "C" NOT NULL,
    data TEXT COLLATE "C" NOT NULL,
    event BYTEA,
    PRIMARY KEY (run, id)
);
-- Compressing a large value would take longer than writing it.
ALTER TABLE records ALTER COLUMN event SET STORAGE EXTERNAL;
