CREATE TABLE asset_events (
    id INTEGER PRIMARY KEY,
    asset_id INTEGER NOT NULL,
    timestamp REAL NOT NULL,
    source_dag_id TEXT,
    source_task_id TEXT,
    source_run_id TEXT,
    source_map_index INTEGER NOT NULL,
    extra BLOB NOT NULL,
    aliases TEXT NOT NULL,
    partition_key TEXT
) STRICT;
CREATE INDEX asset_events_by_asset ON asset_events (asset_id, timestamp);
CREATE INDEX asset_events_by_time ON asset_events (timestamp);

CREATE TABLE asset_event_aliases (
    alias TEXT NOT NULL,
    event_id INTEGER NOT NULL,
    PRIMARY KEY (alias, event_id)
) STRICT, WITHOUT ROWID;

CREATE TABLE asset_queue (
    dag_id TEXT NOT NULL,
    asset_id INTEGER NOT NULL,
    created_at REAL NOT NULL,
    PRIMARY KEY (dag_id, asset_id)
) STRICT, WITHOUT ROWID;

-- `number` grows in the order of the runs' acceptance.
CREATE TABLE asset_consumption (
    number INTEGER PRIMARY KEY,
    event_id INTEGER NOT NULL,
    dag_id TEXT NOT NULL,
    run_id TEXT NOT NULL,
    triggering INTEGER NOT NULL
) STRICT;
CREATE INDEX asset_consumption_by_event ON asset_consumption (event_id);
CREATE INDEX asset_consumption_by_run ON asset_consumption (dag_id, run_id);
