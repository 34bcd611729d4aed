"""Features of a DAG that would not run here as they run under Airflow's scheduler.

A refused DAG is listed with the reason and is not callable: nothing is run wrongly, or without what the author
asked for. `notes_of_dag` are facts worth knowing that do not change what a call does.
"""

from collections.abc import Callable, Iterator
from typing import Any

from airflow.sdk import DAG
from airflow.sdk.bases.operator import BaseOperator
from airflow.sdk.definitions.mappedoperator import MappedOperator

from dagcall.airflow_bridge import assets, weights
from dagcall.airflow_bridge.settings import conf
from dagcall.model.plan import Refusal

Operator = BaseOperator | MappedOperator

_NEVER = "with less than 1, Airflow never starts one; a caller would wait for ever"

_BY_CLASS = {
    "TriggerDagRunOperator": "triggering other DAGs is not supported yet; call the other DAG from the application",
    "ExternalTaskSensor": "waiting for other DAGs is not supported yet",
    "ExternalTaskMarker": "it has no effect without ExternalTaskSensor, which is not supported yet",
    "HITLOperator": "waiting for a person's input is not supported yet",
    "LatestOnlyOperator": "there is no 'latest' among runs without a logical date",
}
"""Operators that are refused with all their subclasses, by class name: the provider need not be imported."""


def of_dag(dag: DAG) -> Iterator[Refusal]:
    """All refusals of a DAG and its tasks."""
    if dag.on_success_callback or dag.on_failure_callback:
        yield Refusal(None, "DAG callbacks", "on_success_callback and on_failure_callback of a DAG are not run yet")
    if getattr(dag, "deadline", None):
        yield Refusal(None, "deadline", "deadline alerts are not supported yet; callers have `timeout=`")
    if conf.get("core", "default_impersonation", fallback=None):
        yield Refusal(None, "default_impersonation", "tasks run as the user of the server")
    for limit in ("max_active_tasks", "max_active_runs"):
        if getattr(dag, limit) < 1:
            yield Refusal(None, limit, _NEVER)
    if type(dag.timetable).__name__ == "PartitionedAssetTimetable":
        yield Refusal(None, "PartitionedAssetTimetable", "runs of partitions of assets are not supported")
    for asset in assets.scheduled_assets(dag):
        if asset.watchers:
            yield Refusal(
                None,
                f"watchers of asset {asset.name!r}",
                "nothing watches here: POST its events to /api/v2/assets/events",
            )
    for task in dag.tasks:
        yield from _of_task(task)


def notes_of_dag(dag: DAG) -> Iterator[str]:
    """Sentences about what dagcall leaves to Airflow's scheduler."""
    if type(dag.timetable).__name__ == "AssetOrTimeSchedule":
        yield "the time half of its AssetOrTimeSchedule is not acted upon: runs start by its assets, or when it is called"
    elif assets.condition_of(dag) is None and dag.schedule is not None:
        yield f"schedule {dag.schedule!r} is not acted upon: runs start when the DAG is called"
    if dag.catchup and dag.schedule is not None and assets.condition_of(dag) is None:
        yield "catchup is not acted upon"
    for task in dag.tasks:
        if weights.is_own_rule(task):
            yield f"task {task.task_id!r}: its weight rule is asked once, when the file is loaded"


def _of_task(task: Operator) -> Iterator[Refusal]:
    for feature, is_used, reason in _TASK_CHECKS:
        if is_used(task):
            yield Refusal(task.task_id, feature, reason)
    operator_class = task.operator_class if isinstance(task, MappedOperator) else type(task)
    for parent in operator_class.__mro__:
        if parent.__name__ in _BY_CLASS:
            yield Refusal(task.task_id, parent.__name__, _BY_CLASS[parent.__name__])


def _attribute(task: Operator, name: str) -> Any:
    if isinstance(task, MappedOperator):
        return task.partial_kwargs.get(name, getattr(task.operator_class, name, None))
    return getattr(task, name, None)


def _is_set(name: str) -> Callable[[Operator], bool]:
    return lambda task: bool(_attribute(task, name))


def _is_below_one(name: str) -> Callable[[Operator], bool]:
    def check(task: Operator) -> bool:
        value = getattr(task, name)
        return value is not None and value < 1

    return check


_TASK_CHECKS: tuple[tuple[str, Callable[[Operator], bool], str], ...] = (
    ("run_as_user", _is_set("run_as_user"), "tasks run as the user of the server"),
    ("executor", _is_set("executor"), "tasks run on dagcall's own workers"),
    ("executor_config", _is_set("executor_config"), "tasks run on dagcall's own workers, which take no such setting"),
    ("depends_on_past", _is_set("depends_on_past"), "runs without a logical date have no past to depend on"),
    ("wait_for_downstream", _is_set("wait_for_downstream"), "runs without a logical date have no previous run"),
    ("max_active_tis_per_dag", _is_below_one("max_active_tis_per_dag"), _NEVER),
    ("max_active_tis_per_dagrun", _is_below_one("max_active_tis_per_dagrun"), _NEVER),
    ("deferrable", _is_set("deferrable"), "there is no triggerer yet; set deferrable=False"),
    ("start_from_trigger", _is_set("start_from_trigger"), "there is no triggerer yet"),
    (
        "mapped task group",
        lambda task: task.get_closest_mapped_task_group() is not None,
        "expanding a whole task group is not supported yet; expand its tasks",
    ),
)
