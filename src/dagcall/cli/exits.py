"""Exit codes, and what is said on stderr when a command does not succeed."""

import shlex
from enum import IntEnum

from dagcall.error_details import task_label
from dagcall.errors import (
    BadRequest,
    DagcallError,
    JournalError,
    NotAllowed,
    NotFinished,
    NotFound,
    NotSupported,
    RunFailed,
    ServerError,
    Unavailable,
    UsageError,
)


class Exit(IntEnum):
    OK = 0
    RUN_FAILED = 1
    """Also: a check found something."""
    USAGE = 2
    NOT_FOUND = 3
    NOT_ALLOWED = 4
    UNAVAILABLE = 5
    BUG = 70
    """`EX_SOFTWARE` of sysexits.h."""
    NOT_FINISHED = 124
    """As `timeout(1)`."""
    INTERRUPTED = 130
    """128 + SIGINT, as shells report it."""
    BROKEN_PIPE = 141
    """128 + SIGPIPE."""


_CODES: tuple[tuple[type[DagcallError], Exit], ...] = (
    (RunFailed, Exit.RUN_FAILED),
    (NotFinished, Exit.NOT_FINISHED),
    (NotFound, Exit.NOT_FOUND),
    (NotAllowed, Exit.NOT_ALLOWED),
    (Unavailable, Exit.UNAVAILABLE),
    (ServerError, Exit.UNAVAILABLE),
    (JournalError, Exit.UNAVAILABLE),
    (UsageError, Exit.USAGE),
    (BadRequest, Exit.USAGE),
    (NotSupported, Exit.USAGE),
)


def exit_code(error: DagcallError) -> Exit:
    """The code that an error ends the command with."""
    return next((code for kind, code in _CODES if isinstance(error, kind)), Exit.BUG)


def explain(error: DagcallError) -> str:
    """What happened, where, and which command comes next; several lines."""
    lines = [f"dagcall: {error}"]
    match error:
        case RunFailed():
            lines += _about_failure(error)
        case NotFinished():
            lines += going_on(error.dag_id, error.run_id)
        case Unavailable(retry_after=seconds) if seconds is not None:
            lines.append(f"  try again in {seconds:g} s")
    return "\n".join(lines)


def going_on(dag_id: str, run_id: str) -> list[str]:
    """How to come back to a run."""
    run = f"{shlex.quote(dag_id)} {shlex.quote(run_id)}"
    return [
        f"  run:    {run_id}",
        f"  attach: dagcall runs attach {run}",
        f"  cancel: dagcall runs cancel {run}",
    ]


def _about_failure(error: RunFailed) -> list[str]:
    lines = []
    if error.task is not None:
        lines.append(
            f"  task:  {task_label(error.task, error.map_index)}" + f", try {error.try_number}" * bool(error.try_number)
        )
    if error.error is not None:
        lines.append(f"  error: {error.error}")
    if error.cause:
        lines.append(f"  cause: {' -> '.join(map(str, error.cause))}")
    if error.run_id is None or error.dag_id is None:
        return lines
    lines.append(f"  run:   {error.run_id}" + " (the rest of it is still running)" * (error.cleanup == "running"))
    if error.task is not None:
        command = ["dagcall", "runs", "logs", error.dag_id, error.run_id, error.task]
        if error.map_index >= 0:
            command += ["--map-index", str(error.map_index)]
        lines.append(f"  log:   {shlex.join(command)}")
    return lines
