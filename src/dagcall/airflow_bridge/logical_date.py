"""What only a run with a logical date has: names in the context, a data interval; and who asks for them without one.

As in Airflow, a run has a logical date when its caller gives one (`RuntimeTaskInstance.get_template_context`); the data
interval is then the one that the DAG's timetable infers for a run triggered by hand.
"""

import inspect
from collections.abc import Iterator
from contextlib import suppress
from datetime import datetime
from typing import Any

from airflow.sdk import DAG
from airflow.sdk.bases.operator import BaseOperator
from airflow.sdk.definitions.mappedoperator import MappedOperator

Operator = BaseOperator | MappedOperator

NAMES = (
    "logical_date", "ds", "ds_nodash", "ts", "ts_nodash", "ts_nodash_with_tz", "data_interval_start", "data_interval_end",
    "prev_data_interval_start_success", "prev_data_interval_end_success",
)  # fmt: skip
HINT = "This run has no logical date: pass `logical_date` with the call to have {name}."


def data_interval(dag: DAG, logical_date: datetime, run_type: str, run_after: datetime) -> tuple[datetime, datetime]:
    """As `TriggerDAGRunPostBody.validate_context` infers it (api_fastapi/core_api/datamodels/dag_run.py); of a run that a
    task triggered as `_trigger_dag` does (api/common/trigger_dag.py), from the moment of triggering."""
    import pendulum
    from airflow.serialization.encoders import coerce_to_core_timetable

    moment = run_after if run_type == "operator_triggered" else logical_date
    interval = coerce_to_core_timetable(dag.timetable).infer_manual_data_interval(run_after=pendulum.instance(moment))
    return interval.start, interval.end


def hint(error: BaseException) -> str:
    """A sentence for an error that comes from the lack of a logical date; empty for any other error."""
    for name in NAMES:
        if _is_lack_of(error, name):
            return HINT.format(name=name)
    return ""


def names_used(task: Operator) -> tuple[str, ...]:
    """Those of `NAMES` that the task's templates, or the parameters of its Python function, ask for."""
    found = {name for text in _templates(task) for name in _undeclared(task, text)}
    found.update(_parameters(task))
    return tuple(name for name in NAMES if name in found)


def _is_lack_of(error: BaseException, name: str) -> bool:
    if isinstance(error, KeyError):
        return error.args == (name,)
    if type(error).__name__ == "UndefinedError":  # jinja2's
        return str(error) == f"{name!r} is undefined"
    return isinstance(error, TypeError) and "missing" in str(error) and repr(name) in str(error)


def _templates(task: Operator) -> Iterator[str]:
    for field in task.template_fields:
        values = [getattr(task, field, None)]
        if isinstance(task, MappedOperator):
            expanded = task._get_specified_expand_input().value
            values = [task.partial_kwargs.get(field), expanded.get(field) if isinstance(expanded, dict) else expanded]
        for value in values:
            yield from _texts(task, value, set())


def _texts(task: Operator, value: Any, seen: set[int]) -> Iterator[str]:
    """As `Templater.render_template` walks a value."""
    if isinstance(value, str):
        yield _file_content(task, value) if value.endswith(tuple(task.template_ext)) else value
        return
    if id(value) in seen:
        return
    seen.add(id(value))
    if isinstance(value, dict):
        items = list(value.values())
    elif isinstance(value, list | tuple | set):
        items = list(value)
    else:
        items = [getattr(value, name, None) for name in getattr(value, "template_fields", ())]
    for item in items:
        yield from _texts(task, item, seen)


def _file_content(task: Operator, name: str) -> str:
    environment = task.get_template_env()
    with suppress(Exception):  # a file that is not there yet is no finding
        if environment.loader is not None:
            return environment.loader.get_source(environment, name)[0]
    return ""


def _undeclared(task: Operator, text: str) -> set[str]:
    if "{{" not in text and "{%" not in text:
        return set()
    from jinja2 import TemplateError, meta

    environment = task.get_template_env()
    try:
        return meta.find_undeclared_variables(environment.parse(text)) - environment.globals.keys()
    except TemplateError:  # found when it is rendered, as in Airflow
        return set()


def _parameters(task: Operator) -> set[str]:
    """Of its Python function, without those that the author gives a value."""
    if isinstance(task, MappedOperator):
        function = task.partial_kwargs.get("python_callable")
        expanded = task._get_specified_expand_input().value
        given = {*task.partial_kwargs.get("op_kwargs", {}), *(expanded if isinstance(expanded, dict) else ())}
    else:
        function = getattr(task, "python_callable", None)
        given = set(getattr(task, "op_kwargs", None) or ())
    if not callable(function):
        return set()
    try:
        return inspect.signature(function).parameters.keys() - given
    except (TypeError, ValueError):
        return set()
