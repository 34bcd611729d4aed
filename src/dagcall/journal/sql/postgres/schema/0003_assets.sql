CREATE TABLE asset_events (
    id BIGINT PRIMARY KEY,
    asset_id BIGINT NOT NULL,
    timestamp DOUBLE PRECISION NOT NULL,
    source_dag_id TEXT COLLATE "C",
    source_task_id TEXT COLLATE "C",
    source_run_id TEXT COLLATE "C",
    source_map_index INTEGER NOT NULL,
    extra BYTEA NOT NULL,
    aliases TEXT COLLATE "C" NOT NULL,
    partition_key TEXT COLLATE "C"
);
CREATE INDEX asset_events_by_asset ON asset_events (asset_id, timestamp);
CREATE INDEX asset_events_by_time ON asset_events (timestamp);

CREATE TABLE asset_event_aliases (
    alias TEXT COLLATE "C" NOT NULL,
    event_id BIGINT NOT NULL,
    PRIMARY KEY (alias, event_id)
);

CREATE TABLE asset_queue (
    dag_id TEXT COLLATE "C" NOT NULL,
    asset_id BIGINT NOT NULL,
    created_at DOUBLE PRECISION NOT NULL,
    PRIMARY KEY (dag_id, asset_id)
);

-- `number` grows in the order of the runs' acceptance.
CREATE TABLE asset_consumption (
    number BIGINT GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    event_id BIGINT NOT NULL,
    dag_id TEXT COLLATE "C" NOT NULL,
    run_id TEXT COLLATE "C" NOT NULL,
    triggering BOOLEAN NOT NULL
);
CREATE INDEX asset_consumption_by_event ON asset_consumption (event_id);
CREATE INDEX asset_consumption_by_run ON asset_consumption (dag_id, run_id);
