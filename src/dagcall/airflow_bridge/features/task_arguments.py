"""Every argument of `airflow.sdk.BaseOperator`, which are those of `@task` and `partial` too."""

from dagcall.airflow_bridge.features.feature import Feature, differs, ignored, refused, runs

_UNSHOWN = "There is no user interface that would show it."
_PAST = (
    "Airflow looks for the run with the next earlier logical date, and waits until the task has ended well in it. A call "
    "without a logical date has no such run, here as there: the task runs. A call whose task would have to wait is refused."
)
_SCHEDULED = "It bounds a schedule. Airflow's manual runs ignore it too."

TASK_ARGUMENTS: tuple[Feature, ...] = (
    runs("task_id"),
    runs("owner"),
    runs("email"),
    runs("email_on_retry"),
    runs("email_on_failure"),
    runs("retries"),
    runs("retry_delay", "A long delay keeps the caller waiting; the worker is free meanwhile."),
    runs("retry_exponential_backoff", "With Airflow's jitter, to the same fraction of a second."),
    runs("max_retry_delay"),
    runs("retry_policy"),
    ignored("start_date", _SCHEDULED),
    ignored("end_date", _SCHEDULED),
    differs("depends_on_past", _PAST),
    differs("ignore_first_depends_on_past", _PAST),
    differs("wait_for_past_depends_before_skipping", _PAST),
    differs("wait_for_downstream", _PAST),
    runs("dag"),
    runs("params"),
    runs("default_args"),
    runs("priority_weight", "Among tasks that wait for a worker or a slot."),
    differs("weight_rule", "A strategy of a plugin is asked once, when the file is loaded."),
    ignored("queue", "Shown; there is one set of workers, which serves every queue."),
    runs(
        "pool",
        "Pools are kept by the server: `/api/v2/pools`. A DAG that names one which does not exist is not callable.",
    ),
    runs("pool_slots"),
    ignored("sla", "Airflow itself has removed it."),
    runs(
        "execution_timeout", "A task that does not react within a second more is ended with its whole process family."
    ),
    runs("on_execute_callback"),
    runs("on_failure_callback"),
    runs("on_success_callback"),
    runs("on_retry_callback"),
    runs("on_skipped_callback"),
    runs("pre_execute"),
    runs("post_execute"),
    runs("trigger_rule", "All of them; see below."),
    ignored("resources", "Airflow's own executors ignore it too."),
    refused("run_as_user"),
    runs("map_index_template"),
    runs("max_active_tis_per_dag", refused_partly=("max_active_tis_per_dag",)),
    runs("max_active_tis_per_dagrun", refused_partly=("max_active_tis_per_dagrun",)),
    refused("executor"),
    refused("executor_config"),
    runs("do_xcom_push"),
    runs("multiple_outputs"),
    runs("inlets", refused_as=("inlets",)),
    runs("outlets", refused_as=("outlets",)),
    runs("task_group"),
    ignored("doc", _UNSHOWN),
    ignored("doc_md", _UNSHOWN),
    ignored("doc_json", _UNSHOWN),
    ignored("doc_yaml", _UNSHOWN),
    ignored("doc_rst", _UNSHOWN),
    runs("task_display_name", "Shown by `/api/v2`."),
    runs("logger_name"),
    runs("allow_nested_operators"),
    runs("render_template_as_native_obj"),
)
