"""`/call/{dag_id}` and its runs: call, attach, cancel, events."""

import time
from dataclasses import replace

from starlette.requests import Request
from starlette.responses import Response

from dagcall.coordinator.api import CallRequest, RunView
from dagcall.crashpoints import reached
from dagcall.errors import BadRequest, Problem, ShuttingDown
from dagcall.model.ids import RunKey
from dagcall.model.survival import DURABILITIES
from dagcall.server.accept import JSON, NDJSON, SSE, negotiate
from dagcall.server.answers import accepted, answer, run_headers
from dagcall.server.attendance import CANCEL, CONTINUE
from dagcall.server.context import Context
from dagcall.server.policy import Caller
from dagcall.server.preferences import Wait, decide_wait, parse_prefer
from dagcall.server.problems import problem_response
from dagcall.server.requests import Query, decode_object, read_body
from dagcall.server.streams import EventStream, Position
from dagcall.server.waiting import outcome_within

ANSWERS = (JSON, NDJSON, SSE)
STREAMS = (NDJSON, SSE)

CALL_QUERY = ("wait", "result", "timeout", "on_disconnect", "run_id", "logical_date", "durability", "until")
ATTACH_QUERY = ("wait", "until")
KEY_LENGTH = 255
RESERVED = ("", "openapi.json")
"""What stands in the place of a run id in other paths."""


async def call(context: Context, request: Request, caller: Caller) -> Response:
    """POST /call/{dag_id}: start a run, and wait for its answer as long as the caller wants."""
    began = time.perf_counter()
    headers = request.headers
    query = Query(request, CALL_QUERY)
    media_type = negotiate(headers.get("accept", ""), ANSWERS)
    position = _position(request, query, media_type)
    wait = _wait(context, request, query, context.settings.default_wait)
    on_disconnect = query.one("on_disconnect") or CONTINUE
    if on_disconnect not in (CONTINUE, CANCEL):
        raise BadRequest(f"Query parameter 'on_disconnect' must be 'continue' or 'cancel', not {on_disconnect!r}.")
    durability = query.one("durability")
    if durability is not None and durability not in DURABILITIES:
        raise BadRequest(f"Query parameter 'durability' must be one of {', '.join(DURABILITIES)}, not {durability!r}.")
    key = headers.get("idempotency-key")
    if key is not None and not 0 < len(key) <= KEY_LENGTH:
        raise BadRequest(f"The header Idempotency-Key must have 1 to {KEY_LENGTH} characters, not {len(key)}.")
    if key is None and headers.get("last-event-id"):
        raise BadRequest(
            "Last-Event-ID goes on with the events of a run, and a POST without Idempotency-Key starts another one. Ask "
            "for the events with GET /call/{dag_id}/{run_id}/events, or give the call and its repetitions one key."
        )
    run_id = query.one("run_id")
    if run_id in RESERVED:
        raise BadRequest(f"Query parameter 'run_id' must not be {run_id!r}: a run could not be addressed by it.")
    conf = decode_object(await read_body(request, context.settings.body_limit))
    traceparent = headers.get("traceparent")
    view, shared = await context.coordinator.admit(
        CallRequest(
            dag_id=request.path_params["dag_id"],
            conf=conf,
            results=query.many("result"),
            timeout=query.seconds("timeout", positive=True),
            run_id=run_id,
            caller=caller.name,
            idempotency_key=caller.scoped(key),
            may_share=True,
            waits=not wait.at_once,
            on_disconnect=on_disconnect,
            logical_date=query.time("logical_date"),
            durability=durability,
            traceparent=traceparent,
            tracestate=None if traceparent is None else headers.get("tracestate"),
        )
    )
    await context.attendance.called(view, on_disconnect)
    if media_type != JSON:
        if shared is None:
            position = replace(position, last_id=0)  # the run that the reader has seen is not kept any more
        return _stream(context, view, media_type, position, run_headers(view, wait.applied, shared=shared))
    if wait.at_once:
        reached("call.accepting")
        return accepted(view, run_headers(view, wait.applied, time.perf_counter() - began, shared=shared))
    problem = await _wait_for(context, view, wait, request)
    reached("call.answering")
    answered = run_headers(view, wait.applied, time.perf_counter() - began, shared=shared)
    return answer(view, answered) if problem is None else problem_response(problem, answered)


async def attach(context: Context, request: Request, caller: Caller) -> Response:
    """GET /call/{dag_id}/{run_id}: the same answer as the POST's; waits only when asked."""
    query = Query(request, ATTACH_QUERY)
    media_type = negotiate(request.headers.get("accept", ""), ANSWERS)
    position = _position(request, query, media_type)
    wait = _wait(context, request, query, 0.0)
    view = await context.coordinator.run(_key(request))
    if media_type != JSON:
        return _stream(context, view, media_type, position, run_headers(view, wait.applied, with_state=True))
    problem = await _wait_for(context, view, wait, request)
    headers = run_headers(view, wait.applied, with_state=True)
    return answer(view, headers) if problem is None else problem_response(problem, headers)


async def events(context: Context, request: Request, caller: Caller) -> Response:
    """GET /call/{dag_id}/{run_id}/events: the run's events from the start, or after `Last-Event-ID`."""
    query = Query(request, ("until",))
    media_type = negotiate(request.headers.get("accept", ""), STREAMS)
    position = _position(request, query, media_type)
    view = await context.coordinator.run(_key(request))
    return _stream(context, view, media_type, position, run_headers(view, "wait=0", with_state=True))


async def cancel(context: Context, request: Request, caller: Caller) -> Response:
    """DELETE /call/{dag_id}/{run_id}: 202, or 200 when it had ended already."""
    Query(request, ())
    view = await context.coordinator.run(_key(request))
    had_ended = view.head.state.is_final
    if not had_ended:
        view = await context.coordinator.cancel(view.key, caller.name or "caller", "")
    return accepted(view, run_headers(view, "wait=0", with_state=True), 200 if had_ended else 202)


def _key(request: Request) -> RunKey:
    return RunKey(request.path_params["dag_id"], request.path_params["run_id"])


def _wait(context: Context, request: Request, query: Query, default: float) -> Wait:
    preferences = parse_prefer(request.headers.getlist("prefer"))
    return decide_wait(preferences, query.seconds("wait"), default, context.coordinator.options.max_wait)


async def _wait_for(context: Context, view: RunView, wait: Wait, request: Request) -> Problem | None:
    """Wait. What is then known is in `view`; a problem when the server gave up on the run."""
    try:
        if view.machine.accepted.on_disconnect == CONTINUE:
            await outcome_within(view, wait.seconds, request.receive)
        else:
            async with context.attendance.wait(view):
                await outcome_within(view, wait.seconds, request.receive, watch_at_once=True)
    except ShuttingDown:
        return None  # 202: the run is durable, and goes on when the server is back
    except Problem as problem:
        problem.dag_id, problem.run_id = view.key
        return problem
    return None


def _position(request: Request, query: Query, media_type: str) -> Position:
    until = query.one("until")
    if until not in (None, "outcome", "end"):
        raise BadRequest(f"Query parameter 'until' must be 'outcome' or 'end', not {until!r}.")
    last = request.headers.get("last-event-id", "")
    if last and not (last.isascii() and last.isdecimal() and len(last) < 16):
        raise BadRequest(f"Last-Event-ID must be the id of an event: a whole number, not {last!r}.")
    if media_type == JSON:
        if until is not None:
            raise BadRequest(f"Query parameter 'until' is for event streams: ask for {NDJSON} or {SSE} in Accept.")
        return Position()
    return Position(int(last or 0), until == "outcome")


def _stream(context: Context, view: RunView, media_type: str, position: Position, headers: dict[str, str]) -> Response:
    if position.is_over(view):
        return Response(status_code=204, headers=headers)
    return EventStream(context, view, media_type, position, headers)
