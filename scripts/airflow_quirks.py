"""Where stock Airflow 3.3 does what its author can hardly have meant, and dagcall does the same.

A DAG must not end differently when it moves. The compatibility page lists these.
"""

from typing import NamedTuple


class Quirk(NamedTuple):
    feature: str
    what: str
    """What happens, here as there."""
    source: str
    """Where in Airflow it comes from."""


KNOWN_QUIRKS = (
    Quirk(
        "branching inside a mapped task group",
        "`@task.branch`, `@task.short_circuit` and other branches inside a mapped task group skip nothing: all tasks "
        "downstream run as if the branch were an ordinary task.",
        "airflow/sdk/bases/skipmixin.py, airflow/ti_deps/deps/not_previously_skipped_dep.py",
    ),
    Quirk(
        "all_done_min_one_success inside a mapped task group",
        "A task with this rule whose upstreams are all in the same mapped group, which is expanded at run time, is "
        "upstream_failed as a whole as soon as the upstreams are expanded, before any of them has run.",
        "airflow/ti_deps/deps/trigger_rule_dep.py",
    ),
    Quirk(
        "one_success, one_failed, one_done, none_failed_min_one_success inside a mapped task group",
        "Such a task is expanded only when its rule is met by any instance of its upstreams; if the rule is met by "
        "none, the task is skipped (or upstream_failed) as one unexpanded instance with map index -1.",
        "airflow/ti_deps/deps/trigger_rule_dep.py: is_fast_triggered",
    ),
    Quirk(
        "mapping over the output of a task in a mapped task group",
        "The length is never known, so what is mapped over it is upstream_failed. Let a task outside of the group "
        "collect the values, and map over that.",
        "airflow/serialization/definitions/xcom_arg.py: get_task_map_length",
    ),
    Quirk(
        "a mapped task group inside a mapped task group",
        "A task of the outer group that waits for, or reads, one of the inner group looks at as many of its instances "
        "as the task itself has for each element of the outer group: at one, and not at all that belong to it.",
        "airflow/models/taskinstance.py: _get_relevant_map_indexes, airflow/sdk/execution_time/task_mapping.py",
    ),
    Quirk(
        "collecting the values of a mapped task group with one element",
        "A task outside of the group that takes the output of one of its tasks gets a list; but when the group has "
        "one instance that pushed a value, it gets that value itself.",
        "airflow/sdk/execution_time/task_runner.py: xcom_pull",
    ),
    Quirk(
        "a mapped task under always, one_success and the like",
        "A mapped task whose rule is met before the length is known does not wait: it is upstream_failed.",
        "airflow/models/taskmap.py: expand_mapped_task",
    ),
    Quirk(
        "a branch that ends after a task it skips has become upstream_failed",
        "The branch overwrites it: the task ends skipped, and what was decided from upstream_failed stays.",
        "airflow/api_fastapi/execution_api/routes/task_instances.py: ti_skip_downstream",
    ),
    Quirk(
        "the order in which a scheduler looks at the tasks of a run",
        "What a task is mapped over is looked up at the moment the scheduler comes to that task, which depends on the "
        "order of rows in its database; with a skip and a failure upstream in the same round it shows in the end. Here "
        "the order is always topological.",
        "airflow/models/dagrun.py: _get_ready_tis, airflow/ti_deps/deps/mapped_task_upstream_dep.py",
    ),
    Quirk(
        "the order of Airflow's checks before a task is scheduled",
        "Where the trigger rule, a branch and what is mapped over would give different final states in the same round, "
        "Airflow's result depends on the addresses of its classes in memory. Here it is always the trigger rule, then "
        "what is mapped over, then branches.",
        "airflow/models/taskinstance.py: get_failed_dep_statuses",
    ),
    Quirk(
        "a schedule on Asset.ref",
        "Events of the asset start the DAG, but `triggering_asset_events` does not have them.",
        "airflow/jobs/scheduler_job_runner.py: _create_dag_runs_asset_triggered",
    ),
    Quirk(
        "two assets of one name, or one URI",
        "The first to be known is active. A task that has the other among its inlets or outlets fails.",
        "airflow/jobs/scheduler_job_runner.py: _activate_referenced_assets",
    ),
)
