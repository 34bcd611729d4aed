"""taskInstances/{task_id}/logs/{try_number}: a try's log file, in Airflow's structured form."""

import asyncio
import glob
import os
import socket
from typing import Any

import msgspec
from starlette.requests import Request
from starlette.responses import Response

from dagcall.core.instance import TaskInstance
from dagcall.model.ids import RunKey, TaskKey
from dagcall.model.states import SUSPENDED_STATES, TaskState
from dagcall.server.accept import JSON, NDJSON
from dagcall.server.api_v2.query import AirflowQuery, path_integer
from dagcall.server.api_v2.runs import find_run
from dagcall.server.context import Context
from dagcall.server.policy import Caller
from dagcall.server.problems import AirflowError, encode

_GROUP = {"event": "::group::Log message source details"}
_END_GROUP = {"event": "::endgroup::"}

_OPEN = {TaskState.QUEUED, TaskState.RUNNING, *SUSPENDED_STATES}
_NO_LOG = {
    TaskState.SKIPPED: "Task was skipped \u2014 no logs available.",
    TaskState.UPSTREAM_FAILED: "Task did not run because upstream task(s) failed.",
}


async def get_log(context: Context, request: Request, caller: Caller) -> Response:
    """The whole log up to now. While the try runs the answer names a token, with which what follows can be asked."""
    names = request.path_params
    query = AirflowQuery(request, ("map_index", "full_content", "token"), context.coordinator.settings)
    is_ndjson = _wants_ndjson(request.headers.get("accept", "*/*"))
    try_number = path_integer(request, "try_number", 0)
    map_index = query.integer("map_index", -1, -1)
    query.boolean("full_content")
    start = _start(query.one("token"))
    view = await find_run(context, names["dag_id"], names["dag_run_id"])
    instance = view.machine.instance(TaskKey(names["task_id"], map_index))
    # Names that reach the file system are those of a task instance that exists, never the request's own.
    if instance is None or try_number > instance.try_number:
        raise AirflowError(404, "TaskInstance not found")
    if try_number == 0:
        message = _NO_LOG.get(instance.state, "No logs available for this task.")
        return _response([_GROUP, _END_GROUP, {"event": message}], None, is_ndjson)
    is_open = _is_open(instance, try_number)
    messages, position = await _read(context, view.key, instance, try_number, start, is_open)
    return _response(messages, str(position) if is_open else None, is_ndjson)


async def _read(
    context: Context, key: RunKey, instance: TaskInstance, try_number: int, start: int, is_open: bool
) -> tuple[list[dict[str, Any]], int]:
    path = context.coordinator.log_path(key, instance.task.task_id, instance.map_index, try_number)
    content = await asyncio.to_thread(_content, path, start)
    if is_open:
        # The rest of a line that is being written comes with the next page.
        content = content[: content.rfind(b"\n") + 1]
    messages = _messages(content)
    if start == 0:
        sources, beside = await asyncio.to_thread(_of_triggers, path)
        if beside:
            messages = _by_time([*messages, *beside])
        is_due = instance.hostname and (not is_open or instance.hostname != socket.gethostname())
        if is_due and not content and not messages and not await asyncio.to_thread(os.path.exists, path):
            messages = [_not_here(instance, try_number)]
        messages = [{**_GROUP, "sources": [path, *sources]}, _END_GROUP, *messages]
    return messages, start + len(content)


def _not_here(instance: TaskInstance, try_number: int) -> dict[str, Any]:
    """Of a try that ran, whose log this machine does not have: its server has another log folder, or it was removed."""
    where = f"on host {instance.hostname}" if try_number == instance.try_number else "by the server that ran the try"
    message = (
        f"The log of this try is not in this server's log folder: it was written {where}. It was removed, or that server "
        "has a log folder of its own: servers that share a journal show each other's logs when they share [logging] "
        "base_log_folder."
    )
    return {"level": "error", "event": message}


def _of_triggers(path: str) -> tuple[list[str], list[dict[str, Any]]]:
    """What the triggers of this try have logged, in files beside its own."""
    sources = sorted(glob.glob(f"{glob.escape(path)}.trigger.*.log"))
    return sources, [message for source in sources for message in _messages(_content(source, 0))]


def _messages(content: bytes) -> list[dict[str, Any]]:
    return [_message(line) for line in content.splitlines() if line.strip()]


def _by_time(messages: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """In order; a message without a time stays with the one before it."""
    time, times = "", []
    for message in messages:
        stamp = message.get("timestamp")
        time = stamp if isinstance(stamp, str) else time
        times.append(time)
    return [message for _, message in sorted(zip(times, messages, strict=True), key=lambda entry: entry[0])]


def _content(path: str, start: int) -> bytes:
    try:
        with open(path, "rb") as file:
            file.seek(start, os.SEEK_SET)
            return file.read()
    except FileNotFoundError:
        return b""


def _message(line: bytes) -> dict[str, Any]:
    """A line of JSON as it is; any other text as a message of its own."""
    try:
        message = msgspec.json.decode(line)
    except (msgspec.DecodeError, RecursionError):
        message = None
    if isinstance(message, dict) and isinstance(message.get("event"), str):
        return message
    return {"timestamp": None, "event": line.decode("utf-8", "replace")}


def _response(messages: list[dict[str, Any]], token: str | None, is_ndjson: bool) -> Response:
    if is_ndjson:
        body = b"".join(encode(message) + b"\n" for message in messages)
        headers = {} if token is None else {"Airflow-Continuation-Token": token}
        return Response(body, media_type=NDJSON, headers=headers)
    return Response(encode({"content": messages, "continuation_token": token}), media_type=JSON)


def _is_open(instance: TaskInstance, try_number: int) -> bool:
    return try_number == instance.try_number and instance.state in _OPEN


def _wants_ndjson(accept: str) -> bool:
    if accept.startswith(("*/*", JSON)):
        return False
    if accept.startswith(NDJSON):
        return True
    raise AirflowError(406, "Only application/json or application/x-ndjson is supported")


def _start(token: str | None) -> int:
    if not token:
        return 0
    if not (token.isascii() and token.isdecimal() and len(token) < 16):
        raise AirflowError(400, "Bad Signature. Please use only the tokens provided by the API.")
    return int(token)
