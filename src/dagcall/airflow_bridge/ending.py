"""How an attempt ended: the `Ended` frame, from the runner's terminal message and the exception, if there was one.

Guarantees that it can always be sent: text without what UTF-8 does not have, of bounded length, secrets masked. It
refuses nothing: a message that it does not know ends the attempt as failed, and says so.
"""

import time
from typing import Any

from dagcall.model.assets import Outlets
from dagcall.model.events import EndKind
from dagcall.reject import Reject
from dagcall.workers.frames import Ended, Start, Suspended

_MESSAGE_LIMIT = 10_000
"""Characters of an exception's message that are told to the caller; the log has all of it."""


def ended(start: Start, comms: Any, error: BaseException | None) -> Ended:
    """The attempt's end, from the runner's terminal message."""
    from airflow.sdk.execution_time import comms as sdk

    from dagcall.airflow_bridge.assets import as_result, outlets_of
    from dagcall.airflow_bridge.suspension import suspended_by

    out = comms.outgoing
    kind = EndKind.FAILED
    retry_delay: float | None = None
    suspension: Suspended | None = None
    message = out.terminal
    outlets: Outlets | None = None
    problem = describe(error, start) if error is not None else out.problem
    match message:
        case None:  # it never came to a terminal message
            kind = EndKind.RETRY
        case sdk.SucceedTask():
            kind = EndKind.SUCCESS
            out.rendered_map_index = message.rendered_map_index or out.rendered_map_index
            outlets = outlets_of(message)
            if start.want_plain and out.plain is None and outlets is not None:
                out.plain = as_result(outlets)
        case sdk.RetryTask():
            retry_delay = message.retry_delay_seconds
            kind = EndKind.RETRY
            if (late := _too_late(start, retry_delay)) is not None:
                kind, retry_delay = EndKind.FAILED, late
        case sdk.TaskState():
            kind = EndKind.SKIPPED if message.state.value == "skipped" else EndKind.FAILED
        case _:
            suspended = suspended_by(message, out.wakes)
            if suspended is None:
                problem = ("Unsupported", f"{type(message).__name__} is not supported by dagcall")
            else:
                kind, suspension = suspended
    if kind in (EndKind.FAILED, EndKind.RETRY) and problem is None:
        problem = ("TaskFailed", "the task failed without an exception; its log says more")
    return Ended(
        attempt=start.attempt,
        epoch=start.epoch,
        kind=kind.value,
        error=problem,
        reject=_reject(error),
        retry_delay=retry_delay,
        xcoms=out.xcoms,
        plain=out.plain,
        skip=out.skip,
        rendered_map_index=out.rendered_map_index,
        rendered_fields=out.rendered_fields,
        suspension=suspension,
        outlets=outlets,
        references=tuple(comms.result.references),
    )


def _too_late(start: Start, delay: float | None) -> float | None:
    """The delay after which the next try would begin, where that is not before the call's deadline. Then this one has
    failed, here too: its callbacks are told so."""
    delay = start.retry_delay if delay is None else delay
    if start.deadline is None or delay is None or time.time() + delay < start.deadline:
        return None
    return delay


def describe(error: BaseException, start: Start) -> tuple[str, str]:
    """Type and message: secrets masked, at most `_MESSAGE_LIMIT` characters, and always text that can be sent."""
    from airflow.sdk._shared.secrets_masker import redact

    if isinstance(error, SystemExit):
        text = f"the task called sys.exit({error.code!r})"
    else:
        text = _text_of(error)
        if start.logical_date is None:
            from dagcall.airflow_bridge.logical_date import hint

            text = f"{text.rstrip('.')}. {said}" if (said := hint(error)) else text
    return type(error).__name__, _sendable(str(redact(text)))


def state_after(end: Ended, state: Any) -> Any:
    """What Airflow's `finalize` is told, where the runner had said `state`."""
    from airflow.sdk import TaskInstanceState

    refused = state is TaskInstanceState.UP_FOR_RETRY and end.kind == EndKind.FAILED
    return TaskInstanceState.FAILED if refused else state


def _text_of(error: BaseException) -> str:
    """`str(error)`, which is user code and may fail itself."""
    try:
        return str(error)
    except Exception as another:
        return f"the message of this exception cannot be shown: its __str__ raised {type(another).__name__}"


def _sendable(text: str) -> str:
    """Without lone surrogates, which UTF-8 does not have, and without a length that would burden every reader."""
    if len(text) > _MESSAGE_LIMIT:
        text = f"{text[:_MESSAGE_LIMIT]}... ({len(text)} characters; the task's log has more)"
    return text.encode("utf-8", "backslashreplace").decode()


def _reject(error: BaseException | None) -> tuple[int, str] | None:
    from airflow.sdk._shared.secrets_masker import redact

    if not isinstance(error, Reject):
        return None
    return error.status, _sendable(str(redact(str(error.detail))))


__all__ = ["describe", "ended", "state_after"]
