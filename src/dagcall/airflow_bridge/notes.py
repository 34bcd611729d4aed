"""What is worth knowing of a DAG before it is called, though nothing stands in the way: `dagcall dags check` shows it.

Arguments that are not acted upon take their words from the table in `features`.
"""

from collections.abc import Callable, Iterator

from airflow.sdk import DAG
from airflow.sdk.bases.operator import BaseOperator
from airflow.sdk.definitions.mappedoperator import MappedOperator

from dagcall.airflow_bridge import assets, weights
from dagcall.airflow_bridge.empty import is_empty
from dagcall.airflow_bridge.features import DAG_ARGUMENTS, TASK_ARGUMENTS
from dagcall.airflow_bridge.logical_date import names_used
from dagcall.airflow_bridge.settings import conf
from dagcall.model.plan import Note

Operator = BaseOperator | MappedOperator

NOT_FORKED = (
    "workers of this file are not forked, each parses it anew and starts slowly: {cause}. "
    "What can wait for a task's first use should not be done when the file is imported."
)
_DATE = (
    "is used ({names}): the task has it only in a call with `logical_date`; without one it fails, or gets None for "
    "parameters that have a default"
)
_WATCHERS = "Tell of its events with POST /api/v2/assets/events."
_TEXTS = {feature.name: feature.text for feature in (*TASK_ARGUMENTS, *DAG_ARGUMENTS)}
_IGNORED_OF_DAG: dict[str, Callable[[DAG], bool]] = {
    "schedule": lambda dag: dag.schedule is not None and assets.condition_of(dag) is None,
    "end_date": lambda dag: dag.end_date is not None,
    "catchup": lambda dag: bool(dag.catchup and dag.schedule is not None and assets.condition_of(dag) is None),
    "max_consecutive_failed_dag_runs": lambda dag: (
        dag.max_consecutive_failed_dag_runs != conf.getint("core", "max_consecutive_failed_dag_runs_per_dag")
    ),
    "access_control": lambda dag: dag.access_control is not None,
    "is_paused_upon_creation": lambda dag: bool(dag.is_paused_upon_creation),
}
_IGNORED_OF_TASK: dict[str, Callable[[Operator, DAG], bool]] = {
    "start_date": lambda task, dag: task.start_date not in (None, dag.start_date),
    "end_date": lambda task, dag: task.end_date not in (None, dag.end_date),
}


def of_dag(dag: DAG) -> Iterator[Note]:
    for name, is_used in _IGNORED_OF_DAG.items():
        if is_used(dag):
            yield Note(None, name, f"is not acted upon. {_TEXTS[name]}")
    if type(dag.timetable).__name__ == "AssetOrTimeSchedule":
        yield Note(None, "schedule", "starts runs by its assets only, not by its times")
    for asset in assets.scheduled_assets(dag):
        if asset.watchers:
            yield Note(None, "schedule", f"has asset {asset.name!r}, which nothing watches. {_WATCHERS}")
    for task in dag.tasks:
        for name, is_set in _IGNORED_OF_TASK.items():
            if is_set(task, dag):
                yield Note(task.task_id, name, f"is not acted upon. {_TEXTS[name]}")
        if weights.is_own_rule(task):
            yield Note(task.task_id, "weight_rule", "is asked once, when the file is loaded")
        if not is_empty(task) and (names := names_used(task)):
            yield Note(task.task_id, "logical date", _DATE.format(names=", ".join(names)))
