"""Features of a DAG that would not run here as they run under Airflow's scheduler.

A refused DAG is listed with the reason and is not callable: nothing is run wrongly, or without what the author
asked for. What does not change how a call ends is no refusal: see `notes`.
"""

from collections.abc import Callable, Iterator
from typing import Any

from airflow.sdk import DAG
from airflow.sdk.bases.operator import BaseOperator
from airflow.sdk.definitions.mappedoperator import MappedOperator

from dagcall.airflow_bridge import tags
from dagcall.airflow_bridge.settings import conf
from dagcall.model.plan import Refusal

Operator = BaseOperator | MappedOperator

_NEVER = "with less than 1, Airflow never starts one; a caller would wait for ever"


def of_dag(dag: DAG) -> Iterator[Refusal]:
    """All refusals of a DAG and its tasks."""
    for feature, is_used, reason in _DAG_CHECKS:
        if is_used(dag):
            yield Refusal(None, feature, reason)
    yield from tags.refusals(dag.tags)
    for task in dag.tasks:
        yield from _of_task(task)


def reasons() -> dict[str, str]:
    """Every feature that is refused, and why."""
    checks = (*_DAG_CHECKS, *_TASK_CHECKS)
    return {feature: reason for feature, _, reason in checks}


def _of_task(task: Operator) -> Iterator[Refusal]:
    for feature, is_used, reason in _TASK_CHECKS:
        if is_used(task):
            yield Refusal(task.task_id, feature, reason)


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


_DAG_CHECKS: tuple[tuple[str, Callable[[DAG], bool], str], ...] = (
    (
        "deadline",
        lambda dag: bool(dag.deadline),
        "deadline alerts are not supported yet; callers have `timeout=`",
    ),
    (
        "allowed_run_types",
        lambda dag: dag.allowed_run_types is not None and "manual" not in dag.allowed_run_types,
        "its author allows no manual runs, and a call is one",
    ),
    (
        "default_impersonation",
        lambda dag: bool(conf.get("core", "default_impersonation", fallback=None)),
        "tasks run as the user of the server",
    ),
    ("max_active_tasks", lambda dag: dag.max_active_tasks < 1, _NEVER),
    ("max_active_runs", lambda dag: dag.max_active_runs < 1, _NEVER),
)

_TASK_CHECKS: tuple[tuple[str, Callable[[Operator], bool], str], ...] = (
    ("run_as_user", _is_set("run_as_user"), "tasks run as the user of the server"),
    ("executor", _is_set("executor"), "tasks run on dagcall's own workers"),
    ("executor_config", _is_set("executor_config"), "tasks run on dagcall's own workers, which take no such setting"),
    ("max_active_tis_per_dag", _is_below_one("max_active_tis_per_dag"), _NEVER),
    ("max_active_tis_per_dagrun", _is_below_one("max_active_tis_per_dagrun"), _NEVER),
)
