"""Who did what: one line of JSON for each request that was let in to call or change something, and for each refusal.

Logger `dagcall.audit`. A line has the caller, the permission, the DAG and run it was about, and how it was answered;
never a token, a param or a value, nor the query, in which a caller may have put anything. Requests that only read are
told with `[dagcall] audit = all`.
"""

import json
import logging
import time

from starlette.requests import Request

from dagcall.server.policy import Caller, Permission

log = logging.getLogger("dagcall.audit")

LEVELS = ("none", "changes", "all")
_LONGEST = 250


class Audit:
    def __init__(self, level: str = "changes") -> None:
        self._level = level

    def allowed(
        self, request: Request, permission: Permission, caller: Caller, status: int, run_id: str | None
    ) -> None:
        """`status`: of the answer. `run_id`: of a run that the request has begun."""
        if self._level == "all" or (self._level == "changes" and request.method not in ("GET", "HEAD")):
            self._tell("allowed", request, permission, caller.name, status, run_id)

    def refused(self, request: Request, permission: Permission, status: int, reason: str) -> None:
        if self._level != "none":
            self._tell("refused", request, permission, None, status, None, reason)

    def _tell(
        self,
        outcome: str,
        request: Request,
        permission: Permission,
        user: str | None,
        status: int,
        run_id: str | None,
        reason: str | None = None,
    ) -> None:
        names = request.path_params
        line = {
            "audit": outcome,
            "time": round(time.time(), 3),
            "user": user,
            "client": request.client.host if request.client else None,
            "action": permission.value,
            "method": request.method,
            "dag_id": names.get("dag_id"),
            "run_id": run_id or names.get("run_id") or names.get("dag_run_id"),
            "about": next((names[one] for one in names if one not in ("dag_id", "run_id", "dag_run_id")), None),
            "status": status,
            "reason": reason,
        }
        told = {name: value[:_LONGEST] if isinstance(value, str) else value for name, value in line.items()}
        log.info("%s", json.dumps({name: value for name, value in told.items() if value is not None}))
