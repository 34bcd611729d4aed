"""Errors on the wire: RFC 9457 problem documents, and Airflow's `{"detail": ...}` below `/api/v2`."""

import math

import msgspec
from starlette.responses import Response

from dagcall.errors import (
    DagBroken,
    DagNotFound,
    InvalidParams,
    MalformedJson,
    NotAuthenticated,
    Problem,
    RunExists,
    RunNotFound,
    Unavailable,
)

encode = msgspec.json.encode

PROBLEM_JSON = "application/problem+json"


class AirflowError(Exception):
    """An error below `/api/v2`, in the words that Airflow has for it. `detail`: a text, or FastAPI's list of errors."""

    def __init__(self, status: int, detail: object) -> None:
        super().__init__(detail)
        self.status = status
        self.detail = detail


class NoSuchMethod(Exception):
    """The path exists, the method does not. `allow`: those that do."""

    def __init__(self, allow: str) -> None:
        super().__init__(allow)
        self.allow = allow


def problem_response(problem: Problem, headers: dict[str, str] | None = None) -> Response:
    """`headers`: those of the run it concerns, if any."""
    return Response(encode(problem.document()), problem.status, _headers(problem, headers), PROBLEM_JSON)


def airflow_response(error: AirflowError | Problem) -> Response:
    """The answer that stock Airflow gives in the same place, where it knows the case."""
    if isinstance(error, AirflowError):
        return Response(encode({"detail": error.detail}), error.status, media_type="application/json")
    status, detail = _in_airflows_words(error)
    return Response(encode({"detail": detail}), status, _headers(error, None), "application/json")


def _in_airflows_words(problem: Problem) -> tuple[int, object]:
    match problem:
        case InvalidParams():
            return 400, str(problem)
        case MalformedJson():
            error = {"type": "json_invalid", "loc": ["body", 0], "msg": "JSON decode error", "input": {}}
            return 422, [error | {"ctx": {"error": str(problem)}}]
        case RunExists():
            hidden = {"statement": "hidden", "orig_error": "hidden"}
            return 409, {"reason": "Unique constraint violation", **hidden, "message": str(problem)}
        case DagNotFound():
            return 404, f"The Dag with ID: `{problem.dag_id}` was not found"
        case RunNotFound():
            return 404, run_not_found(problem.dag_id or "", problem.run_id or "")
        case DagBroken():
            return 400, f"Dag with dag_id: '{problem.dag_id}' has import errors and cannot be triggered: {problem}"
    return problem.status, str(problem)


def run_not_found(dag_id: str, run_id: str) -> str:
    return f"The DagRun with dag_id: `{dag_id}` and run_id: `{run_id}` was not found"


def _headers(problem: Problem, headers: dict[str, str] | None) -> dict[str, str]:
    sent = dict(headers or ())
    sent["Cache-Control"] = "no-store"
    if isinstance(problem, Unavailable):
        sent["Retry-After"] = str(max(1, math.ceil(problem.retry_after or 1)))
    if isinstance(problem, NotAuthenticated):
        sent["WWW-Authenticate"] = "Bearer"
    if isinstance(problem, RunExists) and problem.instance is not None:
        sent["Location"] = problem.instance
    return sent
