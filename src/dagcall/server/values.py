"""`GET /call/{dag_id}/{run_id}/value[/{task_id}]`: the bytes of a result, whole or in parts.

Of a result that is given by reference, those that the reference promises; of any other, its JSON. They are an author's
bytes under this server's address: a browser is told to save them, never to show or run them.
"""

import re
from base64 import b64encode
from hashlib import sha256
from urllib.parse import quote

from starlette.requests import Request
from starlette.responses import Response

from dagcall.coordinator.api import OpenedValue, RunView
from dagcall.errors import Problem, RangeNotSatisfiable, TaskNotFound, ValueNotFound
from dagcall.model.ids import UNMAPPED, RunKey, TaskKey
from dagcall.model.references import Reference
from dagcall.model.states import TaskState
from dagcall.server.accept import JSON
from dagcall.server.answers import run_headers
from dagcall.server.context import Context
from dagcall.server.policy import Caller
from dagcall.server.problems import problem_response
from dagcall.server.ranges import ranges_of
from dagcall.server.requests import Query
from dagcall.server.value_stream import InMemory, ValueStream

_MEDIA_TYPE = re.compile(r"[\w!#$&^.+-]+/[\w!#$&^.+-]+", re.ASCII)


async def value(context: Context, request: Request, caller: Caller) -> Response:
    names = request.path_params
    query = Query(request, ("map_index", "part"))
    map_index, part = query.number("map_index"), query.number("part") or 0
    view = await context.coordinator.run(RunKey(names["dag_id"], names["run_id"]))
    try:
        task_id = names.get("task_id") or _only_result(view)
        found = _find(view, task_id, map_index, part)
        if isinstance(found, bytes):
            opened: OpenedValue = InMemory(found)
            found = Reference(f"{task_id}.json", JSON, len(found), sha256(found).hexdigest())
        else:
            opened = await context.coordinator.stored.open(found)
    except Problem as problem:
        problem.dag_id, problem.run_id = view.key
        if problem.status >= 500:
            raise  # the server's own: without the headers that speak of the run's outcome
        return problem_response(problem, run_headers(view, "wait=0", with_state=True))
    return _answer(request, view, found, opened)


def _answer(request: Request, view: RunView, reference: Reference, opened: OpenedValue) -> Response:
    assert reference.size is not None
    assert reference.sha256 is not None
    size, etag = reference.size, f'"{reference.sha256}"'
    headers = run_headers(view, "wait=0", with_state=True) | {
        "Accept-Ranges": "bytes",
        "Cache-Control": "private, no-cache",
        "ETag": etag,
        "Repr-Digest": f"sha-256=:{b64encode(bytes.fromhex(reference.sha256)).decode()}:",
        "Content-Disposition": _disposition(reference.uri),
        "Content-Security-Policy": "sandbox; default-src 'none'",
        "X-Content-Type-Options": "nosniff",
    }
    given = request.headers
    if {etag, "*"} & {tag.strip() for tag in given.get("if-none-match", "").split(",")}:
        return ValueStream(opened, 304, headers, [])
    ranges = ranges_of(given.get("range"), given.get("if-range"), etag, size)
    if ranges == []:
        problem = RangeNotSatisfiable(f"None of the ranges of bytes asked for is in a value of {size} bytes.")
        refused = problem_response(problem, headers | {"Content-Range": f"bytes */{size}"})
        return ValueStream(opened, 416, dict(refused.headers), [bytes(refused.body)])
    kind = reference.media_type if _MEDIA_TYPE.fullmatch(reference.media_type) else "application/octet-stream"
    return ValueStream.of_ranges(opened, kind, size, ranges, headers, with_body=request.method != "HEAD")


def _only_result(view: RunView) -> str:
    names = _results(view)
    if len(names) != 1:
        raise ValueNotFound(
            "This run is answered with "
            + (f"several tasks: add one of {', '.join(names)} to the path." if names else "its state: it has no value.")
        )
    return names[0]


def _results(view: RunView) -> tuple[str, ...]:
    return view.machine.accepted.results or view.plan.result_tasks


def _find(view: RunView, task_id: str, map_index: int | None, part: int) -> Reference | bytes:
    task = view.plan.by_id.get(task_id)
    if task is None:
        raise TaskNotFound(dag_id=view.key.dag_id, task_id=task_id)
    if task_id not in _results(view):
        raise ValueNotFound(f"This run is not answered with task {task_id!r}: call its DAG with result={task_id}.")
    if task.needs_expansion and map_index is None and part == 0:
        if view.outcome is None or task_id not in view.outcome.results:
            raise ValueNotFound(f"There is no value of task {task_id!r}, or not yet.")
        return view.machine.value_of(task_id)
    key = TaskKey(task_id, UNMAPPED if map_index is None else map_index)
    instance = view.machine.instance(key)
    if instance is None or instance.state is not TaskState.SUCCESS:
        state = "does not exist" if instance is None else f"is {instance.state.value or 'not started'}"
        raise ValueNotFound(f"There is no value of task instance {key}, which {state}.")
    for reference in instance.references:
        if reference.part == part:
            return reference
    if part:
        raise ValueNotFound(f"The value of task instance {key} has no part {part}.")
    return instance.plain or b"null"


def _disposition(uri: str) -> str:
    """As RFC 6266 wants it: a name that any client understands, and the exact one if that is another."""
    name = uri.rstrip("/").rpartition("/")[2]
    simple = re.sub(r"[^A-Za-z0-9._-]", "_", name) or "value"
    exact = f"; filename*=UTF-8''{quote(name, safe='')}" if simple != name else ""
    return f'attachment; filename="{simple}"{exact}'
