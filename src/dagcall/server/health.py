"""For load balancers and orchestrators: is this process alive, and should it get calls?

Neither asks who calls, waits for anything, or is refused because of load. `/health/live` says no more than that the
event loop answers; restart a server for nothing else. `/health/ready` is 503, with the reasons, while a call would not
be taken: give calls to another server then.
"""

from starlette.requests import Request
from starlette.responses import Response

from dagcall.server.accept import JSON
from dagcall.server.context import Context
from dagcall.server.policy import Caller
from dagcall.server.problems import encode

_HEADERS = {"Cache-Control": "no-store"}


async def live(context: Context, request: Request, caller: Caller) -> Response:
    return Response(encode({"live": True}), media_type=JSON, headers=_HEADERS)


async def ready(context: Context, request: Request, caller: Caller) -> Response:
    reasons = context.coordinator.obstacles()
    if context.policy.trouble is not None:
        reasons.append(f"nobody is let in: {context.policy.trouble}")
    document = {"ready": not reasons, "reasons": reasons}
    return Response(encode(document), 503 if reasons else 200, media_type=JSON, headers=_HEADERS)
