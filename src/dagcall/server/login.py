"""`/auth`, and Airflow's `/api/v2/auth`: logging in and out, answered by who keeps users and passwords. Only where a
policy has somebody for it; elsewhere there is nothing at these paths.

Open to everybody: what is asked for here is who somebody is. Bodies may be forms, which the guard refuses elsewhere.
"""

from starlette.requests import Request
from starlette.routing import BaseRoute, Match
from starlette.types import Receive, Scope, Send

from dagcall.server.guard import LOGIN
from dagcall.server.policy import Policy

PATHS = ("/api/v2/auth/login", "/api/v2/auth/logout")


class LoginRoutes(BaseRoute):
    def __init__(self, policy: Policy) -> None:
        self._policy = policy

    def matches(self, scope: Scope) -> tuple[Match, Scope]:
        is_login = scope["type"] == "http" and (scope["path"].startswith(LOGIN) or scope["path"] in PATHS)
        return (Match.FULL, {}) if is_login else (Match.NONE, {})

    async def handle(self, scope: Scope, receive: Receive, send: Send) -> None:
        response = await self._policy.login(Request(scope, receive))
        assert response is not None
        await response(scope, receive, send)
