"""What Airflow's API shows of a DAG and its tasks, and no run depends on: a failure to say it is no failure of the DAG."""

from contextlib import suppress
from typing import Any

import msgspec
from airflow.sdk import DAG
from airflow.sdk.bases.operator import BaseOperator
from airflow.sdk.definitions.mappedoperator import MappedOperator
from airflow.sdk.definitions.param import ParamsDict

from dagcall.airflow_bridge.plain import plain
from dagcall.model.plan import TaskLook

Operator = BaseOperator | MappedOperator


def look_of(task: Operator) -> TaskLook:
    """As `TaskResponse` shows it (airflow/api_fastapi/core_api/datamodels/tasks.py)."""
    kind = task.operator_class if isinstance(task, MappedOperator) else type(task)
    return TaskLook(
        operator_name=task.operator_name,
        module=getattr(kind, "__module__", None),
        owner=str(task.owner),
        weight_rule=_weight_rule(task.weight_rule),
        ui_color=_text(task.ui_color),
        ui_fgcolor=_text(task.ui_fgcolor),
        template_fields=tuple(map(str, task.template_fields)),
        doc_md=_text(task.doc_md),
        start_date=None if task.start_date is None else task.start_date.timestamp(),
        end_date=None if task.end_date is None else task.end_date.timestamp(),
        params=_params(task),
    )


def schedule_description(dag: DAG) -> str | None:
    from airflow.serialization.encoders import coerce_to_core_timetable

    with suppress(Exception):  # a timetable of the author's, which is not acted upon
        return _text(coerce_to_core_timetable(dag.timetable).description) or None
    return None


def _params(task: Operator) -> bytes:
    with suppress(Exception):  # what is no JSON is not shown
        assert isinstance(task.params, ParamsDict)
        shown = {name: task.params.get_param(name).dump() for name in task.params}
        return msgspec.json.encode(plain(shown))
    return b"{}"


def _weight_rule(rule: Any) -> str | None:
    value = getattr(rule, "value", rule)
    return value if isinstance(value, str | None) else f"{type(value).__module__}.{type(value).__qualname__}"


def _text(value: Any) -> str | None:
    return None if value is None else str(value)
