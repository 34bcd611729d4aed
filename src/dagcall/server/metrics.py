"""GET /metrics: what this server counts, in Prometheus' text format.

The numbers are copied on the event loop, which takes well below a millisecond; the text is made in a thread.
"""

import asyncio

from starlette.requests import Request
from starlette.responses import Response

from dagcall.model.measures import prometheus_text
from dagcall.server.context import Context
from dagcall.server.policy import Caller

PROMETHEUS = "text/plain; version=0.0.4; charset=utf-8"


async def metrics(context: Context, request: Request, caller: Caller) -> Response:
    families = context.coordinator.metrics.collect()
    text = await asyncio.to_thread(lambda: prometheus_text(families()))
    return Response(text, headers={"Cache-Control": "no-store", "Content-Type": PROMETHEUS})
