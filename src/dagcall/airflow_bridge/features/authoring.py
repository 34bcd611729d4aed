"""Ways to write tasks and to connect them."""

from dagcall.airflow_bridge.features.feature import Feature, differs, ignored, refused, runs

DECORATORS: tuple[Feature, ...] = (
    runs("@dag"),
    runs("@task"),
    runs("@task.bash"),
    runs("@task.branch"),
    runs("@task.branch_external_python"),
    runs("@task.branch_virtualenv"),
    runs("@task.external_python"),
    runs("@task.sensor"),
    runs("@task.short_circuit"),
    runs("@task.stub", "Fails when it runs, as in Airflow: its work is done by an executor of another language."),
    runs("@task.virtualenv"),
    runs("@task.run_if, @task.skip_if"),
    runs("@task_group"),
    runs("@setup, @teardown"),
    runs("@result, dag.add_result", "What a call is answered with, the moment it exists."),
    runs("async def tasks, BaseAsyncOperator"),
    runs("@asset, @asset.multi", refused_as=("outlets",)),
    runs("decorators of providers", "Those that need another executor or a cluster want it here too."),
)

MAPPING: tuple[Feature, ...] = (
    runs("expand over one and several arguments"),
    runs("partial"),
    runs("expand_kwargs"),
    runs("expand over a dict"),
    runs(".map, .zip, .concat"),
    runs("a mapped task over a mapped task"),
    runs("mapped task groups", "Nested ones too."),
    runs("[core] max_map_length"),
    runs("map_index_template"),
    runs("lazy sequences of XComs"),
)

RULES: tuple[Feature, ...] = (
    runs("all_success"),
    runs("all_failed"),
    runs("all_done"),
    runs("all_done_min_one_success"),
    runs("all_done_setup_success"),
    runs("one_success"),
    runs("one_failed"),
    runs("one_done"),
    runs("none_failed"),
    runs("none_failed_min_one_success"),
    runs("none_skipped"),
    runs("all_skipped"),
    runs("always"),
    runs("setup, teardown, their scope", "Cleanup goes on after the caller was answered."),
    runs("on_failure_fail_dagrun"),
    runs(
        "branching",
        "`BaseBranchOperator`, `BranchPythonOperator`, `BranchDateTimeOperator`, `BranchDayOfWeekOperator`, ...",
    ),
    runs("short circuit", "With and without `ignore_downstream_trigger_rules`."),
    runs("task groups, chain, cross_downstream, Label"),
    runs("weight rules", "downstream, upstream, absolute, and strategies of plugins."),
)

OPERATORS: tuple[Feature, ...] = (
    runs("any operator of a provider or of your own"),
    runs("BashOperator", "Children in sessions of their own are ended with the task."),
    runs("EmptyOperator", "Succeeds without a worker, as in Airflow."),
    runs("PythonOperator and its virtualenv forms"),
    runs("LatestOnlyOperator", "A run triggered by hand always is the latest, as in Airflow."),
    differs(
        "TriggerDagRunOperator",
        "The other DAG is one that is served here. Waiting for it holds no worker and is over with its run, whatever the "
        "`poke_interval`; meanwhile the task is deferred. The task fails when `run_after` lies in the future, or when "
        "`reset_dag_run` finds a run that exists: runs are not cleared.",
    ),
    differs(
        "ExternalTaskSensor, ExternalTaskMarker",
        "For DAGs that are served here; it fails when there is no such DAG. It looks again as soon as what it waits for "
        "is so, whatever the `poke_interval`, and holds no worker in between, in poke mode neither. A subclass with a "
        "`poke` of its own does as any sensor.",
    ),
    runs(
        "HITLOperator, ApprovalOperator, HITLBranchOperator, HITLEntryOperator",
        "Answered over Airflow's API (`hitlDetails`). The task holds no worker while it waits.",
    ),
    runs("sensors, mode='poke'", "The sensor holds a worker while it waits."),
    runs("sensors, mode='reschedule'", "No worker is held between two pokes."),
    runs("sensors: timeout, soft_fail, silent_fail, exponential_backoff, max_wait"),
    runs(
        "deferrable operators",
        "The triggers of one DAG file run in a triggerer of their own; no worker is held while they wait.",
    ),
    differs(
        "triggers that end their task (TaskSuccessEvent, TaskFailedEvent, TaskSkippedEvent)",
        "State, retries and XComs are as in Airflow; the task's callbacks are not called then.",
    ),
    runs("start_from_trigger", "Such a task begins in the triggerer, without a worker."),
    ignored("operator extra links", "There is no user interface that would show them."),
)

ENDS: tuple[Feature, ...] = (
    runs("success, failed, skipped, up_for_retry, upstream_failed, removed"),
    runs("AirflowSkipException, AirflowFailException, AirflowSensorTimeout, ..."),
    differs(
        "a task whose process dies",
        "Airflow finds out when heartbeats stay away, after minutes. Here it fails, or is tried again, at once.",
    ),
    differs(
        "clearing and re-running tasks of an ended run",
        "A run that has ended does not change. Call the DAG again.",
    ),
    ignored("marking a run or task by hand", "Answered with 501. A run can be cancelled."),
    refused("[core] default_impersonation", "default_impersonation"),
)
