-- One row: how often the journal was opened, and by which process last.
CREATE TABLE meta (
    one INTEGER PRIMARY KEY CHECK (one = 1),
    epoch INTEGER NOT NULL,
    pid INTEGER NOT NULL
) STRICT;
INSERT INTO meta (one, epoch, pid) VALUES (1, 0, 0);

CREATE TABLE plans (
    dag_id TEXT NOT NULL,
    version TEXT NOT NULL,
    plan BLOB NOT NULL,
    PRIMARY KEY (dag_id, version)
) STRICT;

-- `run` grows in the order of acceptance. The id of the last record is not kept here: it is the greatest key in
-- `records`, and a column of its own would make every append write a second page.
CREATE TABLE runs (
    run INTEGER PRIMARY KEY,
    dag_id TEXT NOT NULL,
    run_id TEXT NOT NULL,
    plan_version TEXT NOT NULL,
    queued_at REAL NOT NULL,
    run_after REAL NOT NULL,
    logical_date REAL,
    run_type TEXT NOT NULL,
    triggered_by TEXT NOT NULL,
    caller TEXT NOT NULL,
    conf BLOB NOT NULL,
    idempotency_key TEXT,
    state TEXT NOT NULL,
    start_date REAL,
    end_date REAL,
    note TEXT,
    outcome TEXT NOT NULL,
    UNIQUE (dag_id, run_id)
) STRICT;
CREATE INDEX runs_unfinished ON runs (run) WHERE state IN ('queued', 'running');
CREATE INDEX runs_by_run_after ON runs (run_after);
CREATE INDEX runs_by_idempotency_key ON runs (dag_id, idempotency_key) WHERE idempotency_key IS NOT NULL;

-- `entry` is run * 2^32 + the record's id: one B-tree, in which a run's records lie together, in order, and no two
-- share an id. A key of two columns would need a second B-tree, or WITHOUT ROWID, which moves rows over about 1 kB
-- to overflow pages.
CREATE TABLE records (
    entry INTEGER PRIMARY KEY,
    time REAL NOT NULL,
    kind TEXT NOT NULL,
    data TEXT NOT NULL,
    event BLOB
) STRICT;
