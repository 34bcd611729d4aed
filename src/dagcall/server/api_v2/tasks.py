"""dags/{dag_id}/tasks: list, get."""

from typing import Any

from starlette.requests import Request
from starlette.responses import Response

from dagcall.model.plan import DagPlan, TaskPlan
from dagcall.server.api_v2.query import AirflowQuery
from dagcall.server.api_v2.runs import check_dag
from dagcall.server.context import Context
from dagcall.server.policy import Caller
from dagcall.server.problems import AirflowError, encode
from dagcall.server.times import time_delta

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
    documents = [_document(plan, task) for task in plan.tasks]
    documents.sort(key=lambda document: document[name.removeprefix("-")], reverse=name.startswith("-"))
    return Response(encode({"tasks": documents, "total_entries": len(documents)}), media_type=JSON)


async def get_task(context: Context, request: Request, caller: Caller) -> Response:
    plan, task_id = _plan(context, request), request.path_params["task_id"]
    if task_id not in plan.by_id:
        raise AirflowError(404, f"Task with id {task_id} was not found")
    return Response(encode(_document(plan, plan.by_id[task_id])), media_type=JSON)


def _plan(context: Context, request: Request) -> DagPlan:
    check_dag(context, request.path_params["dag_id"])
    return context.coordinator.catalog.find(request.path_params["dag_id"])


def _document(plan: DagPlan, task: TaskPlan) -> dict[str, Any]:
    return {
        "task_id": task.task_id,
        "task_display_name": task.task_display_name or task.task_id,
        "owner": plan.owners[0] if plan.owners else "airflow",
        "start_date": None,
        "end_date": None,
        "trigger_rule": task.trigger_rule.value,
        "depends_on_past": False,
        "wait_for_downstream": False,
        "retries": task.retry.retries,
        "queue": task.queue,
        "pool": task.pool,
        "pool_slots": task.pool_slots,
        "execution_timeout": time_delta(task.execution_timeout),
        "retry_delay": time_delta(task.retry.delay),
        "retry_exponential_backoff": task.retry.exponential_backoff,
        "priority_weight": task.priority_weight,
        "weight_rule": None,
        "ui_color": None,
        "ui_fgcolor": None,
        "template_fields": None,
        "downstream_task_ids": sorted(task.downstream),
        "doc_md": None,
        "operator_name": task.operator,
        "params": {},
        "class_ref": {"module_path": None, "class_name": task.operator},
        "is_mapped": task.mapping is not None,
        "extra_links": [],
    }
