"""Every argument of `airflow.sdk.DAG`, which are those of `@dag` too."""

from dagcall.airflow_bridge.features.feature import Feature, differs, ignored, runs

_SHOWN = "Shown by `GET /call` and `/api/v2`."

DAG_ARGUMENTS: tuple[Feature, ...] = (
    runs("dag_id"),
    runs("description", _SHOWN),
    ignored("schedule", "Runs start when the DAG is called. Only schedules on assets start runs here."),
    ignored("start_date", "It bounds a schedule, and a call is none. Airflow's manual runs ignore it too."),
    ignored("end_date", "A DAG can be called after it. Airflow's manual runs ignore it too."),
    ignored("catchup", "There are no missed runs to catch up on."),
    runs("default_args"),
    runs("params", "Validated before the run is accepted; a call that does not fit gets a 422 that says which."),
    runs("template_searchpath"),
    runs("template_undefined"),
    runs("user_defined_macros"),
    runs("user_defined_filters"),
    runs("jinja_environment_kwargs"),
    runs("render_template_as_native_obj"),
    differs(
        "max_active_tasks",
        "Binds where the author wrote it. Airflow's configured default binds only with `[dagcall] inherit_airflow_limits`.",
        refused_partly=("max_active_tasks",),
    ),
    differs(
        "max_active_runs",
        "Binds where the author wrote it: further calls wait their turn. Airflow's configured default binds only with "
        "`[dagcall] inherit_airflow_limits`.",
        refused_partly=("max_active_runs",),
    ),
    ignored(
        "max_consecutive_failed_dag_runs",
        "No DAG is paused, each call is answered for itself.",
    ),
    runs("dagrun_timeout", "Callers have `timeout=` besides."),
    runs("deadline", refused_as=("deadline",)),
    runs("fail_fast"),
    runs("on_success_callback", "Run in a worker process, after the caller was answered."),
    runs("on_failure_callback", "Run in a worker process, after the caller was answered."),
    ignored("sla_miss_callback", "Airflow itself has removed it."),
    runs("allowed_run_types", refused_partly=("allowed_run_types",)),
    runs("doc_md", _SHOWN),
    runs("dag_display_name", _SHOWN),
    runs("tags", f"{_SHOWN} Those that begin with `dagcall:` speak to dagcall; one that it does not know is refused."),
    ignored("owner_links", "There is no user interface that would show them."),
    ignored("access_control", "Who may call what is decided by the server's access rules."),
    ignored("is_paused_upon_creation", "DAGs are not paused here."),
    runs("auto_register"),
    runs("task_group"),
    ignored("disable_bundle_versioning", "A run keeps the version of the file that it began with."),
    ignored("rerun_with_latest_version", "Tasks of an ended run are not cleared here: call the DAG again."),
)
