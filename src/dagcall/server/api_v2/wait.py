"""dagRuns/{dag_run_id}/wait: Airflow's NDJSON, but pushed: a line is sent when the run's state changes, and the last
one the moment the run has ended. While nothing changes the state is repeated every `interval` seconds, as stock does.

The answer has no Content-Type, like stock's: the official client refuses `application/x-ndjson`.
"""

import asyncio
import math
from collections.abc import Iterable
from typing import Any

import msgspec
from starlette.requests import Request
from starlette.responses import Response
from starlette.types import Receive, Scope, Send

from dagcall.coordinator.api import RunView
from dagcall.errors import NotAllowed
from dagcall.model.ids import UNMAPPED
from dagcall.model.plan import RETURN_VALUE
from dagcall.model.states import OutcomeKind
from dagcall.server.api_v2.query import AirflowQuery, invalid
from dagcall.server.api_v2.runs import find_run
from dagcall.server.api_v2.xcom_values import decode_value
from dagcall.server.context import Context
from dagcall.server.policy import Caller, Permission
from dagcall.server.problems import encode
from dagcall.server.waiting import disconnected

LEAST_INTERVAL = 1.0
"""Seconds between repeated lines at least, however short the `interval`: nothing is missed, since changes are pushed."""


async def wait_run(context: Context, request: Request, caller: Caller) -> Response:
    query = AirflowQuery(request, ("interval", "result", "early"), context.coordinator.settings)
    interval = _interval(query.one("interval"))
    view = await find_run(context, request.path_params["dag_id"], request.path_params["dag_run_id"])
    results = tuple(query.many("result")) or None
    if not await context.policy.may(caller, Permission.XCOM_READ, view.key.dag_id):
        if results is not None:
            raise NotAllowed(
                f"User {caller.name!r} may not read XComs of DAG {view.key.dag_id!r}, which `result` asks for."
            )
        results = ()
    return WaitStream(context, view, interval, results, early=bool(query.boolean("early")))


def _interval(text: str | None) -> float:
    if text is None:
        raise invalid("query", "interval", "missing", "Field required", None)
    try:
        value = float(text)
    except ValueError:
        message = "Input should be a valid number, unable to parse string as a number"
        raise invalid("query", "interval", "float_parsing", message, text) from None
    if not 0 < value < math.inf:
        raise invalid("query", "interval", "greater_than", "Input should be greater than 0", text)
    return min(max(value, LEAST_INTERVAL), 3600.0)


class WaitStream(Response):
    """`early`: ends at the outcome, which may be known long before the run has ended."""

    def __init__(
        self, context: Context, view: RunView, interval: float, results: tuple[str, ...] | None, *, early: bool
    ) -> None:
        super().__init__(status_code=200, headers={"Cache-Control": "no-store", "X-Accel-Buffering": "no"})
        del self.headers["content-length"]
        self._context = context
        self._view = view
        self._interval = interval
        self._results = results
        self._early = early

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        await send({"type": "http.response.start", "status": 200, "headers": self.raw_headers})
        gone = asyncio.ensure_future(disconnected(receive))
        try:
            await self._send_lines(send, gone)
        finally:
            gone.cancel()
        await send({"type": "http.response.body", "body": b"", "more_body": False})

    async def _send_lines(self, send: Send, gone: "asyncio.Future[None]") -> None:
        sent: object = None
        changed = self._view.changed()
        try:
            while not gone.done():
                if changed.done():
                    changed = self._view.changed()  # before reading, so that nothing falls between
                seen = len(self._view.records)
                document, is_last = self._document()
                if document != sent:
                    sent = document
                    await send({"type": "http.response.body", "body": encode(document) + b"\n", "more_body": True})
                    if is_last:
                        return
                    continue
                waited, first = (changed, gone), asyncio.FIRST_COMPLETED
                done, _ = await asyncio.wait(waited, timeout=self._interval, return_when=first)
                if not done:
                    sent = None
                elif self._view.was_given_up and len(self._view.records) == seen:
                    return  # woken without news: the server has given up on the run
        finally:
            changed.cancel()

    def _document(self) -> tuple[dict[str, Any], bool]:
        """The line that is true now, and whether it is the last."""
        view = self._view
        state = view.head.state
        document: dict[str, Any] = {"state": state.value}
        outcome = view.outcome
        if self._early and outcome is not None:
            succeeded = outcome.kind is OutcomeKind.SUCCESS
            document["outcome"] = "success" if succeeded else "failed"
            # Plain JSON was made for the tasks that the call is answered with; other tasks' XComs are as Airflow has them.
            known: dict[str, Any] = {task_id: msgspec.Raw(value) for task_id, value in outcome.results.items()}
            if self._results is not None:
                known = results(view, self._results)
            return document | {"results": known}, True
        if not state.is_final:
            return document, False
        if found := results(view, self._results):
            document["results"] = found
        return document, True


def results(view: RunView, task_ids: Iterable[str] | None) -> dict[str, Any]:
    """Return values by task as stock's `/wait` shows them: by default of the tasks that the author designated; of a
    mapped task a list of what its instances pushed; tasks that pushed nothing are left out."""
    xcoms = view.machine.xcoms
    found: dict[str, Any] = {}
    for task_id in sorted(set(view.plan.result_tasks if task_ids is None else task_ids)):
        values = [decode_value(item) for item in xcoms.all_of(task_id, RETURN_VALUE)]
        if values:
            found[task_id] = values[0] if xcoms.map_indexes(task_id, RETURN_VALUE) == [UNMAPPED] else values
    return found
