"""taskInstances/{task_id}/tries: what became of each try, the latest one included."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from starlette.requests import Request
from starlette.responses import Response

from dagcall.coordinator.api import RunView
from dagcall.core.instance import TaskInstance
from dagcall.model.ids import UNMAPPED, TaskKey
from dagcall.model.states import TaskState
from dagcall.server.api_v2.query import AirflowQuery, path_integer
from dagcall.server.api_v2.runs import display_name, find_run
from dagcall.server.context import Context
from dagcall.server.policy import Caller
from dagcall.server.problems import AirflowError, encode
from dagcall.server.times import duration, iso_or_none

JSON = "application/json"


@dataclass(frozen=True)
class Try:
    """One try of an instance, with what is known of it. A worker's host and process are known of the latest only."""

    instance: TaskInstance
    number: int
    state: str | None
    start_date: float | None
    end_date: float | None

    @property
    def is_latest(self) -> bool:
        return self.number == self.instance.try_number


def tries_of(instance: TaskInstance) -> Mapping[int, Try]:
    """By number. An instance that waits for its next try has none that is open, as in Airflow's history."""
    found = {
        # As in Airflow's history: what was not the end of the task was a failure of the try.
        one.try_number: Try(
            instance,
            one.try_number,
            one.state.airflow if one.state.is_final else TaskState.FAILED.airflow,
            one.start_date,
            one.end_date,
        )
        for one in instance.tries
    }
    if instance.state is not TaskState.UP_FOR_RETRY:
        latest = Try(instance, instance.try_number, instance.state.airflow, instance.start_date, instance.end_date)
        found[instance.try_number] = latest
    return found


async def list_tries(context: Context, request: Request, caller: Caller) -> Response:
    task = _task(context, request)
    view = await _view(context, request)
    found = _tries(view, task)
    if not found:
        raise AirflowError(404, f"{_missing(view, task)} was not found")
    documents = [try_document(context, view, one) for one in found.values()]
    document = {"task_instances": documents, "total_entries": len(documents)}
    return Response(encode(document), media_type=JSON)


async def get_try(context: Context, request: Request, caller: Caller) -> Response:
    task, number = _task(context, request), path_integer(request, "task_try_number")
    view = await _view(context, request)
    found = _tries(view, task).get(number)
    if found is None:
        place = f"task_id: `{task.task_id}`, try_number: `{number}` and map_index: `{task.map_index}`"
        raise AirflowError(
            404,
            f"The Task Instance with dag_id: `{view.key.dag_id}`, run_id: `{view.key.run_id}`, {place} was not found",
        )
    return Response(encode(try_document(context, view, found)), media_type=JSON)


async def _view(context: Context, request: Request) -> RunView:
    return await find_run(context, request.path_params["dag_id"], request.path_params["dag_run_id"])


def _task(context: Context, request: Request) -> TaskKey:
    """That the path, or the query, names."""
    names = request.path_params
    if "map_index" in names:
        AirflowQuery(request, (), context.coordinator.settings)
        map_index = path_integer(request, "map_index")
    else:
        query = AirflowQuery(request, ("map_index",), context.coordinator.settings)
        map_index = query.integer("map_index", UNMAPPED, UNMAPPED)
    return TaskKey(names["task_id"], map_index)


def _tries(view: RunView, task: TaskKey) -> Mapping[int, Try]:
    instance = view.machine.instance(task)
    return {} if instance is None else tries_of(instance)


def _missing(view: RunView, task: TaskKey) -> str:
    return (
        f"The Task Instance with dag_id: `{view.key.dag_id}`, run_id: `{view.key.run_id}`, task_id: `{task.task_id}` and "
        f"map_index: `{task.map_index}`"
    )


def try_document(context: Context, view: RunView, one: Try) -> dict[str, Any]:
    """`TaskInstanceHistoryResponse`."""
    instance, task = one.instance, one.instance.task
    queued = iso_or_none(instance.queued_at if one.is_latest else None)
    return {
        "task_id": task.task_id,
        "dag_id": view.key.dag_id,
        "dag_run_id": view.key.run_id,
        "map_index": instance.map_index,
        "start_date": iso_or_none(one.start_date),
        "end_date": iso_or_none(one.end_date),
        "duration": duration(one.start_date, one.end_date),
        "state": one.state,
        "try_number": one.number,
        "max_tries": instance.max_tries,
        "task_display_name": task.task_display_name or task.task_id,
        "dag_display_name": display_name(context, view.key.dag_id),
        "hostname": (instance.hostname or None) if one.is_latest else None,
        "unixname": None,
        "pool": task.pool,
        "pool_slots": task.pool_slots,
        "queue": task.queue,
        "priority_weight": task.effective_weight,
        "operator": task.operator,
        "operator_name": task.look.operator_name or task.operator,
        "queued_when": queued,
        "scheduled_when": queued,
        "pid": (instance.pid or None) if one.is_latest else None,
        "executor": None,
        "executor_config": "{}",
        "dag_version": None,
    }
