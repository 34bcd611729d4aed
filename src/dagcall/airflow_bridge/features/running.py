"""What starts runs, what they know of each other, and what surrounds them."""

from dagcall.airflow_bridge.features.feature import Feature, differs, ignored, runs

_CALLED = "Runs start when the DAG is called, and when an asset it is scheduled on is updated."

SCHEDULES: tuple[Feature, ...] = (
    runs("schedule=None"),
    ignored("cron expressions, @daily and the like, timedelta", _CALLED),
    ignored("@once, @continuous", _CALLED),
    ignored("CronTriggerTimetable, DeltaTriggerTimetable, MultipleCronTriggerTimetable", _CALLED),
    ignored(
        "CronDataIntervalTimetable, DeltaDataIntervalTimetable, EventsTimetable",
        f"{_CALLED} In a call with `logical_date` they infer the data interval.",
    ),
    ignored("timetables of plugins", f"{_CALLED} In a call with `logical_date` they infer the data interval."),
    differs(
        "schedule on assets (all, any, aliases, references)",
        "A run starts when the condition is met. It is given every event until then; in Airflow one that comes while its "
        "asset is queued already waits for the next event.",
    ),
    differs("AssetOrTimeSchedule", "Its assets start runs, its times do not."),
    ignored("asset watchers", "Nothing polls for outside events. `POST /api/v2/assets/events` tells of one."),
    ignored(
        "partitioned timetables (CronPartitionTimetable, PartitionedAssetTimetable, PartitionedAtRuntime)",
        "They start no runs here. A call has no partition, as a run that is triggered by hand without one.",
    ),
    ignored("backfill", "Call the DAG once for each date, with `logical_date`."),
    ignored("catch-up", "There are no missed runs."),
    ignored("pausing a DAG", "What must not be called does not belong into the folder."),
    differs(
        "one run a logical date",
        "Airflow refuses a second run with the same logical date. Here many calls may have the same one.",
    ),
    differs("the scheduler", "There is none: what a run's next tasks are is decided when one ends."),
)

DATA: tuple[Feature, ...] = (
    runs("XCom", "All forms: keys, `multiple_outputs`, of other tasks and map indexes."),
    differs(
        "XComs of earlier runs (include_prior_dates)",
        "Runs without logical dates have no order: the question is refused.",
    ),
    runs("custom XCom backends"),
    runs("Variables: get, set, delete"),
    runs("Connections"),
    runs("secrets backends", "Environment, configured backends, then what dagcall keeps itself."),
    runs("masking of secrets in logs, rendered fields and errors"),
    runs("task state store"),
    runs("asset state store"),
    runs("assets: inlets, outlets, aliases, events, metadata", refused_as=("outlets", "inlets")),
    runs("params of a DAG and of a task"),
    runs("rendered fields"),
    runs("object storage paths"),
    differs(
        "the metadata database",
        "There is none. Code in tasks cannot reach it, as in Airflow 3.",
    ),
)

CONCURRENCY: tuple[Feature, ...] = (
    runs("pools", "Listed, made and changed at `/api/v2/pools`."),
    differs(
        "[core] parallelism",
        "`dagcall serve --workers` is the most tasks at once. Binds only with `[dagcall] inherit_airflow_limits`.",
    ),
    runs("priority weights"),
    ignored("queues", "One set of workers serves all."),
)

AROUND: tuple[Feature, ...] = (
    runs("task callbacks and notifiers", "In the worker, after the caller was answered."),
    runs(
        "DAG callbacks",
        "In a process of the DAG file beside its workers, after the caller was answered; at least once. Logged where "
        "Airflow's DAG processor logs, with its time limit.",
    ),
    runs("e-mail on failure and retry"),
    runs("listeners of task instances"),
    differs(
        "listeners of DAG runs",
        "In a process of the DAG file, at least once. `dag_run` is the Task SDK's, not an object of the database.",
    ),
    differs(
        "listeners of asset changes and events",
        "Of events that a task's outlets make, in a process of the DAG file, at least once; not of those that the API makes.",
    ),
    ignored("listeners of new assets, aliases and import errors", "Nobody calls them."),
    runs("plugins: macros, timetables, priority weight strategies, listeners, operator links"),
    ignored("plugins: web views, FastAPI apps, menus", "Dagcall has its own server."),
    runs("cluster policies, airflow_local_settings", "When DAG files are parsed."),
    runs("task logs", "JSON lines where Airflow puts them."),
    ignored("remote logging", "Logs stay in the folder of `[logging] base_log_folder`."),
    ignored("executors (Celery, Kubernetes, ...)", "Tasks run on dagcall's own workers."),
    differs(
        "DAG bundles",
        "The folder given to `dagcall serve` is the one bundle; without one, Airflow's bundles are served, and of them the "
        "DAGs with a result task or the tag `dagcall`.",
    ),
    runs(".airflowignore, safe mode, zip archives"),
    runs("DAG factories and generated DAGs"),
    differs(
        "globals of modules",
        "A warm worker keeps them from task to task; all else that a task may leave behind is undone. The tag "
        "`dagcall:isolation=task` on a DAG in the file gives each task a process of its own.",
    ),
    differs(
        "OpenTelemetry",
        "Traces and metrics, with Airflow's configuration; names and what is counted: docs/observability.md.",
    ),
    ignored("StatsD", "Not fed; `/metrics` and OTLP have the numbers."),
    ignored(
        "[dag_processor], [scheduler], [triggerer] settings",
        "Not read, except the patterns and limits named in the README.",
    ),
)
