"""From a run to the answer of a call: status, headers and body, as the table of `/call` says.

Values are plain JSON bytes already, made by the worker of the result task; they are joined here, never decoded.
"""

from typing import assert_never
from urllib.parse import quote

import msgspec
from starlette.responses import Response

from dagcall.coordinator.api import RunView, Shared
from dagcall.error_details import CauseStep, TaskError
from dagcall.errors import DeadlineExceeded, Rejected, RunCancelled, RunFailed
from dagcall.model.commands import Failure, Outcome
from dagcall.model.ids import RunKey
from dagcall.model.states import OutcomeKind, RunState
from dagcall.server.accept import JSON
from dagcall.server.problems import encode, problem_response

RETRY_AFTER = "1"
"""Seconds after which looking again makes sense. Attaching with a wait is better, and what our client does."""


_IN_URI = "%:/?#[]@!$&'()*+,;=~"
"""What stands for itself in a URI (RFC 3986)."""


def run_path(key: RunKey) -> str:
    return f"/call/{quote(key.dag_id, safe='')}/{quote(key.run_id, safe='')}"


def run_headers(
    view: RunView, applied: str, total: float | None = None, *, shared: Shared = None, with_state: bool = False
) -> dict[str, str]:
    """What every answer about a run carries. `total`: seconds since the call arrived, where it is known."""
    outcome, timing, key = view.outcome, view.timing, view.key
    all_in_all = timing.queue + timing.run if total is None else total
    headers = {
        "Dagcall-Run-Id": key.run_id if key.run_id.isascii() and key.run_id.isprintable() else quote(key.run_id),
        "Dagcall-Outcome": (OutcomeKind.RUNNING if outcome is None else outcome.kind).value,
        "Location": run_path(key),
        "Preference-Applied": applied,
        "Server-Timing": (
            f"queue;dur={timing.queue * 1e3:.3f}, run;dur={timing.run * 1e3:.3f}, total;dur={all_in_all * 1e3:.3f}"
        ),
        "Cache-Control": "no-store",
    }
    if shared is not None:
        headers["Dagcall-Shared"] = shared
    if with_state:
        headers["Dagcall-Run-State"] = view.head.state.value
    return headers


def answer(view: RunView, headers: dict[str, str]) -> Response:
    """The answer as far as it is known: the outcome, or 202."""
    outcome = view.outcome
    if outcome is None:
        return accepted(view, headers)
    match outcome.kind:
        case OutcomeKind.SUCCESS:
            if not outcome.designated:
                return Response(status_code=204, headers=headers)
            if assets := asset_links(view, outcome):
                headers["Link"] = assets
            return Response(value_of(outcome), 200, headers, JSON)
        case OutcomeKind.FAILED | OutcomeKind.DEADLINE | OutcomeKind.CANCELLED:
            return problem_response(failure_of(view, outcome, view.head.state), headers)
        case OutcomeKind.RUNNING:
            return accepted(view, headers)
    assert_never(outcome.kind)


def accepted(view: RunView, headers: dict[str, str], status: int = 202) -> Response:
    """Not finished, or asked not to wait: where to go on."""
    if status == 202:
        headers["Retry-After"] = RETRY_AFTER
    return Response(encode(run_document(view)), status, headers, JSON)


def run_document(view: RunView) -> dict[str, object]:
    path = run_path(view.key)
    return {
        "dag_id": view.key.dag_id,
        "run_id": view.key.run_id,
        "state": view.head.state.value,
        "links": {"attach": path, "events": f"{path}/events", "cancel": path},
    }


def asset_links(view: RunView, outcome: Outcome) -> str:
    """The assets that the result tasks have updated, as a `Link` header; empty when there are none."""
    refs = [ref for task_id in outcome.results for ref in view.plan.by_id[task_id].outlets if ref.kind == "asset"]
    return ", ".join(f'<{quote(ref.uri, safe=_IN_URI)}>; rel="asset"' for ref in dict.fromkeys(refs))


def value_of(outcome: Outcome) -> bytes:
    """The value of the one designated task, or an object of the values of several."""
    if len(outcome.designated) == 1:
        return outcome.results.get(outcome.designated[0], b"null")
    return encode(values_of(outcome))


def values_of(outcome: Outcome) -> dict[str, msgspec.Raw]:
    """Values by result task, ready to be encoded as part of something larger."""
    return {task_id: msgspec.Raw(value) for task_id, value in outcome.results.items()}


def failure_of(view: RunView, outcome: Outcome, state: RunState) -> RunFailed:
    """The problem that a failed outcome is. `state`: the whole run's, at the moment that is told about."""
    failure = outcome.failure
    if failure is not None and failure.reject is not None and outcome.kind is OutcomeKind.FAILED:
        problem: RunFailed = Rejected(failure.reject.detail, status=failure.reject.status)
    elif outcome.kind is OutcomeKind.DEADLINE:
        problem = DeadlineExceeded()
    elif outcome.kind is OutcomeKind.CANCELLED:
        problem = RunCancelled()
    else:
        problem = RunFailed()
    problem.dag_id, problem.run_id = view.key
    problem.state = state.value
    problem.cleanup = "done" if state.is_final else "running"
    problem.results = dict(values_of(outcome)) or None
    if failure is not None:
        problem.task = failure.failed_task
        problem.map_index, problem.try_number = failure.map_index, failure.try_number
        problem.error = TaskError(failure.error.type, failure.error.message)
        problem.cause = tuple(CauseStep(link.task_id, link.map_index, link.state.value) for link in failure.cause)
        problem.log = _log_path(view.key, failure)
    return problem


def _log_path(key: RunKey, failure: Failure) -> str | None:
    """Of the try that failed, if one did."""
    if failure.failed_task is None or failure.try_number < 1:
        return None
    task_id = quote(failure.failed_task, safe="")
    run = f"/api/v2/dags/{quote(key.dag_id, safe='')}/dagRuns/{quote(key.run_id, safe='')}"
    return f"{run}/taskInstances/{task_id}/logs/{failure.try_number}?map_index={failure.map_index}"
