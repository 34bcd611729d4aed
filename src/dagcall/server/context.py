"""What every handler is given besides its request."""

from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field

from starlette.requests import Request
from starlette.responses import Response

from dagcall.coordinator.api import CoordinatorView
from dagcall.server.attendance import Attendance
from dagcall.server.audit import Audit
from dagcall.server.policy import Caller, Policy
from dagcall.server.settings import ServerSettings


@dataclass(frozen=True)
class Context:
    """One per server, except `caller`, which is the request's."""

    coordinator: CoordinatorView
    settings: ServerSettings
    policy: Policy
    attendance: Attendance
    audit: Audit = field(default_factory=Audit)


Handler = Callable[[Context, Request, Caller], Awaitable[Response]]
