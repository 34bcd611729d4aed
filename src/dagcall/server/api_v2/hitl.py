"""hitlDetails: what tasks ask of people; list, get, and answer."""

from collections.abc import Callable
from dataclasses import asdict
from typing import Any

from starlette.requests import Request
from starlette.responses import Response

from dagcall.coordinator.api import AlreadyAnswered, RunView
from dagcall.coordinator.notes import NotesOfRun
from dagcall.core.instance import TaskInstance
from dagcall.errors import RunNotFound
from dagcall.model.ids import TaskKey
from dagcall.model.inputs import InputRequest, User
from dagcall.server.api_v2.bodies import read_answer
from dagcall.server.api_v2.query import PAGING, AirflowQuery, path_integer, patterns, ranges
from dagcall.server.api_v2.runs import ALL, find_run
from dagcall.server.api_v2.task_instances import STATES, instance_document, instance_id
from dagcall.server.api_v2.tries import tries_of, try_document
from dagcall.server.context import Context
from dagcall.server.policy import Caller
from dagcall.server.problems import AirflowError, encode
from dagcall.server.times import iso, iso_or_none

JSON = "application/json"

ANONYMOUS = User("anonymous", "anonymous")
"""Who answers where nobody is asked for credentials."""

Entry = tuple[InputRequest, RunView, TaskInstance]

_QUERY = (
    *PAGING,
    *ranges("created_at"),
    *patterns("dag_id", "task_id"),
    "task_id",
    "map_index",
    "state",
    "response_received",
    "responded_by_user_id",
    "responded_by_user_name",
    "subject_search",
    "body_search",
)


def _of_request(key: Callable[[InputRequest], Any]) -> Callable[[Entry], Any]:
    return lambda entry: key(entry[0])


_OWN_KEYS: dict[str, Callable[[InputRequest], Any]] = {
    "ti_id": lambda one: one.ti_id,
    "subject": lambda one: one.subject,
    "responded_at": lambda one: one.responded_at,
    "created_at": lambda one: one.created_at,
    "responded_by_user_id": lambda one: _responder(one, "id"),
    "responded_by_user_name": lambda one: _responder(one, "name"),
    "dag_id": lambda one: one.dag_id,
    "run_id": lambda one: one.run_id,
}
_KEYS_OF_RUNS: dict[str, Callable[[Entry], Any]] = {
    "task_display_name": lambda entry: entry[2].task.task_display_name or entry[2].task.task_id,
    "run_after": lambda entry: entry[1].head.run_after,
    "rendered_map_index": lambda entry: entry[2].rendered_map_index,
    "task_instance_operator": lambda entry: entry[2].task.operator,
    "task_instance_state": lambda entry: entry[2].state.airflow,
}
SORT_KEYS = {name: _of_request(key) for name, key in _OWN_KEYS.items()} | _KEYS_OF_RUNS


async def list_details(context: Context, request: Request, caller: Caller) -> Response:
    dag_id, run_id = request.path_params["dag_id"], request.path_params["dag_run_id"]
    query = AirflowQuery(request, _QUERY, context.coordinator.settings)
    states = query.states("state", STATES)
    chosen = _filter(query)
    every = await context.coordinator.inputs.all(*(None if name == ALL else name for name in (dag_id, run_id)))
    requests = [one for one in every if chosen(one)]
    by = {name.removeprefix("-") for name in query.order_by(SORT_KEYS, ("ti_id",))}
    if states is None and by <= _OWN_KEYS.keys():  # then only the runs of this page are read
        asked, total = query.page(requests, _OWN_KEYS, ("ti_id",))
        page = [entry for one in asked if (entry := await _entry(context, one)) is not None]
    else:
        wanted = None if states is None else {None if one in ("none", "no_status") else one for one in states}
        entries = [entry for one in requests if (entry := await _entry(context, one)) is not None]
        found = [one for one in entries if wanted is None or one[2].state.airflow in wanted]
        page, total = query.page(found, SORT_KEYS, ("ti_id",))
    notes = await context.coordinator.kept.notes.of_runs({view.key for _, view, _ in page})
    documents = [_document(context, *entry, notes.get(entry[1].key, {})) for entry in page]
    document = {"hitl_details": documents, "total_entries": total}
    return Response(encode(document), media_type=JSON)


async def get_detail(context: Context, request: Request, caller: Caller) -> Response:
    asked, view, instance = await _find(context, request)
    notes = await context.coordinator.kept.notes.of_run(view.key)
    return Response(encode(_document(context, asked, view, instance, notes)), media_type=JSON)


async def get_try(context: Context, request: Request, caller: Caller) -> Response:
    """What one try asked: with the task instance as that try left it."""
    try_number = path_integer(request, "try_number")
    view, instance = await _instance(context, request)
    found = tries_of(instance).get(try_number)
    asked = await context.coordinator.inputs.find(view.key, instance.key, try_number)
    if found is None or asked is None:
        raise AirflowError(
            404,
            f"Human-in-the-loop detail does not exist for Task Instance with id {instance_id(view, instance)}"
            if found is not None
            else _no_instance(view, instance.key),
        )
    document = _document(context, asked, view, instance, {}) | {"task_instance": try_document(context, view, found)}
    return Response(encode(document), media_type=JSON)


async def answer(context: Context, request: Request, caller: Caller) -> Response:
    body = await read_answer(request, context.settings.body_limit)
    asked, _, _ = await _find(context, request)
    if asked.is_answered:
        raise _answered(asked)
    user = User(caller.id, caller.name) if caller.id else ANONYMOUS
    assigned = {one.id for one in asked.assigned_users}
    if assigned and not await context.policy.may_answer(caller, assigned):
        raise AirflowError(403, f"User={user.name} (id={user.id}) is not a respondent for the task.")
    try:
        asked = await context.coordinator.inputs.answer(asked, body.chosen_options, body.params_input, user)
    except AlreadyAnswered:
        raise _answered(asked) from None
    document = {
        "responded_by": asdict(user),
        "responded_at": iso_or_none(asked.responded_at),
        "chosen_options": asked.chosen_options,
        "params_input": asked.params_input,
    }
    return Response(encode(document), media_type=JSON)


def _answered(asked: InputRequest) -> AirflowError:
    return AirflowError(
        409,
        f"Human-in-the-loop detail has already been updated for Task Instance with id {asked.ti_id} "
        "and is not allowed to write again.",
    )


async def _find(context: Context, request: Request) -> Entry:
    """What the path names. Raises AirflowError."""
    view, instance = await _instance(context, request)
    asked = await context.coordinator.inputs.find(view.key, instance.key)
    if asked is None:
        ti_id = instance_id(view, instance)
        raise AirflowError(404, f"Human-in-the-loop detail does not exist for Task Instance with id {ti_id}")
    return asked, view, instance


async def _instance(context: Context, request: Request) -> tuple[RunView, TaskInstance]:
    names = request.path_params
    view = await find_run(context, names["dag_id"], names["dag_run_id"])
    task = TaskKey(names["task_id"], path_integer(request, "map_index"))
    instance = view.machine.instance(task)
    if instance is None:
        raise AirflowError(404, _no_instance(view, task))
    return view, instance


def _no_instance(view: RunView, task: TaskKey) -> str:
    return (
        f"The Task Instance with dag_id: `{view.key.dag_id}`, run_id: `{view.key.run_id}`, task_id: "
        f"`{task.task_id}` and map_index: `{task.map_index}` was not found"
    )


async def _entry(context: Context, asked: InputRequest) -> Entry | None:
    """None when the run has been forgotten meanwhile."""
    try:
        view = await context.coordinator.run(asked.run)
    except RunNotFound:
        return None
    instance = view.machine.instance(asked.task)
    return None if instance is None else (asked, view, instance)


def _filter(query: AirflowQuery) -> Callable[[InputRequest], bool]:
    """Those filters that need no more than the request itself."""
    by_dag, by_task = query.text_matcher("dag_id"), query.text_matcher("task_id")
    by_subject, by_body = query.matcher("subject_search"), query.matcher("body_search")
    task_id, map_index = query.one("task_id"), query.optional_integer("map_index", -1)
    is_answered, created = query.boolean("response_received"), query.time_range("created_at")
    ids, names = query.many("responded_by_user_id"), query.many("responded_by_user_name")

    def chosen(one: InputRequest) -> bool:
        return (
            by_dag(one.dag_id)
            and by_task(one.task_id)
            and by_subject(one.subject)
            and (query.one("body_search") is None or (one.body is not None and by_body(one.body)))
            and task_id in (None, one.task_id)
            and map_index in (None, one.map_index)
            and is_answered in (None, one.is_answered)
            and created.holds(one.created_at)
            and (not ids or _responder(one, "id") in ids)
            and (not names or _responder(one, "name") in names)
        )

    return chosen


def _responder(asked: InputRequest, name: str) -> str | None:
    return None if asked.responded_by is None else getattr(asked.responded_by, name)


def _document(
    context: Context, asked: InputRequest, view: RunView, instance: TaskInstance, notes: NotesOfRun
) -> dict[str, Any]:
    return {
        "task_instance": instance_document(context, view, instance, notes.get(instance.key)),
        "options": asked.options,
        "subject": asked.subject,
        "body": asked.body,
        "defaults": asked.defaults,
        "multiple": asked.multiple,
        "params": {name: _param(value) for name, value in asked.params.items()},
        "assigned_users": [asdict(user) for user in asked.assigned_users],
        "created_at": iso(asked.created_at),
        "responded_by_user": None if asked.responded_by is None else asdict(asked.responded_by),
        "responded_at": iso_or_none(asked.responded_at),
        "chosen_options": asked.chosen_options,
        "params_input": asked.params_input,
        "response_received": asked.is_answered,
    }


def _param(value: Any) -> Any:
    """As a `Param` in full (`BaseHITLDetail.get_params`)."""
    if isinstance(value, dict) and {"description", "schema", "value"} <= value.keys():
        return value
    return {"value": value, "description": None, "schema": {}}
