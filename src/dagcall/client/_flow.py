"""The client's behaviour, once for both clients: generators that yield requests and receive replies.

Guarantees:
- A call is sent a second time only when that cannot start a second run: nobody was reached, the server refused
  before doing any work (429 or 503 with Retry-After), or the caller chose a `key` or a `run_id`. Otherwise a
  connection that breaks after sending is reported as `Unreachable`, saying that the run may exist.
- Reads (attach, lists) are repeated for `Options.retry` seconds after their first failure.
- One request never waits longer than `LONGEST_WAIT`, so that proxies do not cut it; waiting longer is attaching again.

The server is authoritative on outcomes; nothing here guesses one. Refuses nothing that the server may accept.
"""

import json
import math
import re
from collections.abc import Callable
from typing import Any
from urllib.parse import quote

from dagcall.client._options import Options
from dagcall.client._trace import trace_headers
from dagcall.client._wire import Accepted, Broken, Flow, Pause, Request, Response
from dagcall.errors import NotFinished, Problem, RunExists, RunFailed, ServerError, Unreachable, problem_from

Decode = Callable[[Response], Any]
"""Makes the value of an answer that has one."""

LONGEST_WAIT = 30.0
"""Seconds. The server's default maximum, and below the 60 s after which common proxies cut an idle request."""

ANSWER_MARGIN = 15.0
"""Seconds of silence beyond the requested wait before the server is taken for gone."""

_FIRST_PAUSE, _LONGEST_PAUSE = 0.1, 2.0

_ROUNDING = 0.05
"""Seconds. What is left of a wait that the server ended a moment early is not worth another whole second."""


def call(dag_id: str, content: bytes, options: Options, now: float, decode: Decode | None = None) -> Flow[Any]:
    """Start a run and wait for its value; raises `RunFailed`, or `NotFinished` after `options.wait`."""
    until = math.inf if options.wait is None else now + options.wait
    asked = min(LONGEST_WAIT, until - now)
    response, is_ours = yield from _post(dag_id, content, options, f"wait={math.ceil(asked)}", asked, until)
    if is_ours:
        run = Accepted(dag_id, options.run_id or "")
        left = None if options.wait is None else until - response.at
        return (yield from result(run, left, options, response.at, decode))
    return (yield from _until_decided(dag_id, response, options, now, until, decode))


def submit(dag_id: str, content: bytes, options: Options, now: float) -> Flow[Accepted]:
    """Start a run without waiting. A run that has failed already is accepted all the same: its result says so."""
    response, is_ours = yield from _post(dag_id, content, options, "respond-async", 0.0, now + options.retry)
    if is_ours:
        return Accepted(dag_id, options.run_id or "")
    if response.status not in (200, 202, 204):
        problem = problem_of(response)
        if not isinstance(problem, RunFailed) or not problem.run_id:
            raise problem
    return _accepted(dag_id, response)


def result(run: Accepted, wait: float | None, options: Options, now: float, decode: Decode | None = None) -> Flow[Any]:
    """Attach to a run and wait for its value."""
    until = math.inf if wait is None else now + max(0.0, wait)
    response = yield from _attach(run, min(LONGEST_WAIT, until - now), options.retry, until)
    return (yield from _until_decided(run.dag_id, response, options, now, until, decode))


def state(run: Accepted, options: Options, now: float) -> Flow[str]:
    """The state of the whole run, cleanup included."""
    response = yield from _attach(run, 0.0, options.retry, now + options.retry)
    told = response.headers.get("dagcall-run-state")
    if told is not None:
        return told
    if response.status >= 400:
        problem = problem_of(response)
        if not isinstance(problem, RunFailed):
            raise problem
        return problem.state or "failed"
    # Without the header only a 202 tells the state; any other body is the DAG's own value.
    return str(_document(response).get("state") or "running") if response.status == 202 else "success"


def cancel(run: Accepted, options: Options, now: float) -> Flow[bool]:
    """Ask for the run's end. False: it had already ended."""
    request = Request("DELETE", run_path(run), read_timeout=ANSWER_MARGIN)
    response, _ = yield from _send(request, options.retry, now + options.retry, is_repeatable=True)
    if response.status not in (200, 202, 204):
        raise problem_of(response)
    return response.status == 202


def fetch(path: str, query: tuple[tuple[str, str], ...], options: Options, now: float) -> Flow[Any]:
    """The JSON at a path."""
    request = Request("GET", path, {"accept": "application/json"}, query, read_timeout=ANSWER_MARGIN)
    response, _ = yield from _send(request, options.retry, now + options.retry, is_repeatable=True)
    if response.status != 200:
        raise problem_of(response)
    return json_of(response)


def call_path(dag_id: str) -> str:
    return f"/call/{quote(dag_id, safe='')}"


def run_path(run: Accepted) -> str:
    return f"{call_path(run.dag_id)}/{quote(run.run_id, safe='')}"


def call_request(dag_id: str, content: bytes, options: Options, headers: dict[str, str], asked: float) -> Request:
    """The POST that starts a run."""
    headers |= {"content-type": "application/json"} | trace_headers()
    if options.key is not None:
        headers["idempotency-key"] = options.key
    return Request("POST", call_path(dag_id), headers, options.query(), content, asked + ANSWER_MARGIN)


def problem_of(response: Response) -> Problem:
    """The error that an answer stands for."""
    fallback = f"The server answered HTTP {response.status} without saying why."
    return problem_from(response.status, _document(response), retry_after=_retry_after(response), fallback=fallback)


def json_of(response: Response) -> Any:
    """The decoded body of a successful answer."""
    try:
        return json.loads(response.content)
    except ValueError:
        raise ServerError("The answer is not JSON: is this address a dagcall server, or a proxy's page?") from None


def _until_decided(
    dag_id: str, response: Response, options: Options, since: float, until: float, decode: Decode | None
) -> Flow[Any]:
    while response.status == 202:
        run = _accepted(dag_id, response)
        left = until - response.at
        if left <= _ROUNDING:
            known = json_of(response).get("state")
            raise NotFinished(run.dag_id, run.run_id, waited=round(response.at - since, 3), state=known)
        asked, began = min(LONGEST_WAIT, left), response.at
        response = yield from _attach(run, asked, options.retry, until)
        if response.status == 202 and response.at - began < min(asked, _granted(response)) / 2:
            # A server that does not wait as long as it says must not be asked in a tight loop.
            yield Pause(max(0.0, min(_retry_after(response) or 1.0, until - response.at)))
    if response.status == 204:
        return None
    if response.status != 200:
        raise problem_of(response)
    return (decode or json_of)(response)


def _post(
    dag_id: str, content: bytes, options: Options, prefer: str, asked: float, until: float
) -> Flow[tuple[Response, bool]]:
    """The answer to the POST, and whether it says that a run of the chosen id exists which must be this call's own:
    the request was repeated after a broken connection, so the first one did arrive."""
    request = call_request(dag_id, content, options, {"prefer": prefer, "accept": "application/json"}, asked)
    response, was_repeated = yield from _send(request, options.retry, until, is_repeatable=options.is_repeatable)
    is_ours = was_repeated and response.status == 409 and isinstance(problem_of(response), RunExists)
    return response, is_ours


def _attach(run: Accepted, asked: float, retry: float, until: float) -> Flow[Response]:
    # RFC 7240 has whole seconds only; rounded up, so that a wait never ends early.
    headers = {"prefer": f"wait={math.ceil(asked)}", "accept": "application/json"}
    request = Request("GET", run_path(run), headers, read_timeout=asked + ANSWER_MARGIN)
    response, _ = yield from _send(request, retry, until, is_repeatable=True)
    return response


def _send(request: Request, retry: float, until: float, *, is_repeatable: bool) -> Flow[tuple[Response, bool]]:
    """One request, repeated where that is safe, for `retry` seconds from the first failure on, but not after `until`.

    Returns the answer, and whether an earlier sending may have been received too.
    """
    repetition = Repetition(retry, until)
    may_have_arrived = False
    backoff = _FIRST_PAUSE
    while True:
        reply = yield request
        if isinstance(reply, Response):
            refused = refused_for(reply)
            if refused is None:
                return reply, may_have_arrived
            pause = refused
        else:
            assert isinstance(reply, Broken), reply
            may_have_arrived = may_have_arrived or reply.sent
            if reply.sent and not is_repeatable:
                raise Unreachable(
                    f"{reply.reason}. The call was sent and may be running; it is not repeated, because that could "
                    "start a second run. Give calls a key or a run_id to make repeating them safe."
                )
            pause, backoff = backoff, min(2 * backoff, _LONGEST_PAUSE)
        if not repetition.has_time(reply.at, pause):
            if isinstance(reply, Response):
                return reply, may_have_arrived
            raise nobody_there(reply)
        yield Pause(pause)


class Repetition:
    """For how long one request is repeated: `retry` seconds from its first failure on, but not after `until`."""

    def __init__(self, retry: float, until: float = math.inf) -> None:
        self._retry = retry
        self._until = until
        self._give_up: float | None = None

    def has_time(self, at: float, pause: float) -> bool:
        """Whether it may be sent again `pause` seconds after a failure."""
        if self._give_up is None:
            self._give_up = min(at + self._retry, self._until)
        return at + pause <= self._give_up


def refused_for(response: Response) -> float | None:
    """Seconds after which a request may be sent again that the server refused before doing any work; None: it did not."""
    retry_after = _retry_after(response) if response.status in (429, 503) else None
    if retry_after is None or "dagcall-outcome" in response.headers:
        return None
    return max(retry_after, _FIRST_PAUSE)


def nobody_there(broken: Broken) -> Unreachable:
    return Unreachable(f"{broken.reason}. Is `dagcall serve` running there (DAGCALL_URL)?")


def _accepted(dag_id: str, response: Response) -> Accepted:
    run_id = response.headers.get("dagcall-run-id")
    if run_id is None and isinstance(document := json_of(response), dict):
        run_id = document.get("run_id")
    if not isinstance(run_id, str):
        raise ServerError("The server accepted the call without telling its run id: is this a dagcall server?")
    return Accepted(dag_id, run_id)


def _document(response: Response) -> dict[str, object]:
    try:
        document = json.loads(response.content)
    except ValueError:
        return {}
    return document if isinstance(document, dict) else {}


def _granted(response: Response) -> float:
    """How long the server says that it waits at most, at least a second: it may grant less than was asked."""
    wait = re.search(r"\bwait=([0-9.]+)", response.headers.get("preference-applied", ""))
    return math.inf if wait is None else max(1.0, float(wait[1]))


def _retry_after(response: Response) -> float | None:
    """Seconds; an HTTP date, which no part of dagcall sends, counts as absent."""
    value = response.headers.get("retry-after", "")
    return float(value) if value.isdecimal() else None
