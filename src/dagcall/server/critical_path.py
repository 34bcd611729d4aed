"""GET /call/{dag_id}/{run_id}/critical-path: the run document, with where the time to the answer went.

The records are replayed for it, in a thread: a wide run takes longer than others may wait.
"""

import asyncio

from starlette.requests import Request
from starlette.responses import Response

from dagcall.core.critical_path import PARTS, Step, critical_path, whole
from dagcall.model.ids import RunKey
from dagcall.server.accept import JSON, negotiate
from dagcall.server.answers import run_document, run_headers
from dagcall.server.context import Context
from dagcall.server.policy import Caller
from dagcall.server.problems import encode
from dagcall.server.requests import Query


async def show(context: Context, request: Request, caller: Caller) -> Response:
    Query(request, ())
    negotiate(request.headers.get("accept", ""), (JSON,))
    view = await context.coordinator.run(RunKey(request.path_params["dag_id"], request.path_params["run_id"]))
    steps = await asyncio.to_thread(critical_path, view.plan, view.key, tuple(view.records), view.durable_at)
    parts = whole(steps)
    document = run_document(view) | {
        "ms": _ms({"total": sum(parts.values()), **parts}),
        "critical_path": [_described(step) for step in steps],
    }
    return Response(encode(document), 200, run_headers(view, "wait=0", with_state=True), JSON)


def _described(step: Step) -> dict[str, object]:
    return {
        "task_id": step.task_id,
        "map_index": step.map_index,
        "try_number": step.try_number,
        "ms": _ms({part: getattr(step, part) for part in PARTS}),
    }


def _ms(seconds: dict[str, float]) -> dict[str, float]:
    return {name: round(value * 1000, 3) for name, value in seconds.items()}
