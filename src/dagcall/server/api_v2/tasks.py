"""dags/{dag_id}/tasks: list, get."""

from typing import Any

import msgspec
from starlette.requests import Request
from starlette.responses import Response

from dagcall.model.plan import DagPlan, TaskPlan
from dagcall.server.api_v2.query import AirflowQuery
from dagcall.server.api_v2.runs import check_dag
from dagcall.server.context import Context
from dagcall.server.policy import Caller
from dagcall.server.problems import AirflowError, encode
from dagcall.server.times import iso_or_none, time_delta

JSON = "application/json"

SORT_KEYS = (
    "task_id",
    "task_display_name",
    "owner",
    "trigger_rule",
    "retries",
    "queue",
    "pool",
    "pool_slots",
    "retry_exponential_backoff",
    "priority_weight",
    "operator_name",
)


async def list_tasks(context: Context, request: Request, caller: Caller) -> Response:
    query = AirflowQuery(request, ("order_by",), context.coordinator.settings)
    plan = _plan(context, request)
    (name,) = query.order_by(SORT_KEYS, ("task_id",))[:1]
    documents = [_document(task) for task in plan.tasks]
    documents.sort(key=lambda document: document[name.removeprefix("-")], reverse=name.startswith("-"))
    return Response(encode({"tasks": documents, "total_entries": len(documents)}), media_type=JSON)


async def get_task(context: Context, request: Request, caller: Caller) -> Response:
    plan, task_id = _plan(context, request), request.path_params["task_id"]
    if task_id not in plan.by_id:
        raise AirflowError(404, f"Task with id {task_id} was not found")
    return Response(encode(_document(plan.by_id[task_id])), media_type=JSON)


def _plan(context: Context, request: Request) -> DagPlan:
    check_dag(context, request.path_params["dag_id"])
    return context.coordinator.catalog.find(request.path_params["dag_id"])


def _document(task: TaskPlan) -> dict[str, Any]:
    look = task.look
    return {
        "task_id": task.task_id,
        "task_display_name": task.task_display_name or task.task_id,
        "owner": look.owner or "airflow",
        "start_date": iso_or_none(look.start_date),
        "end_date": iso_or_none(look.end_date),
        "trigger_rule": task.trigger_rule.value,
        "depends_on_past": task.depends_on_past,
        "wait_for_downstream": task.wait_for_downstream,
        "retries": task.retry.retries,
        "queue": task.queue,
        "pool": task.pool,
        "pool_slots": task.pool_slots,
        "execution_timeout": time_delta(task.execution_timeout),
        "retry_delay": time_delta(task.retry.delay),
        "retry_exponential_backoff": task.retry.exponential_backoff,
        "priority_weight": task.priority_weight,
        "weight_rule": look.weight_rule,
        "ui_color": look.ui_color,
        "ui_fgcolor": look.ui_fgcolor,
        "template_fields": look.template_fields,
        "downstream_task_ids": sorted(task.downstream),
        "doc_md": look.doc_md,
        "operator_name": look.operator_name or task.operator,
        "params": msgspec.Raw(look.params),
        "class_ref": {"module_path": look.module, "class_name": task.operator},
        "is_mapped": task.mapping is not None,
        "extra_links": [],
    }
