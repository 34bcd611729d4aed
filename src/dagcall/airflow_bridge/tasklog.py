"""Task logs in Airflow's own file layout and JSON-lines format.

One structlog configuration a process, writing to one object whose file is changed for each task. What user code
prints goes the way Airflow's supervisor sends it: one line, one record of logger `task.stdout` or `task.stderr`.
Descriptors 1 and 2 are the log file itself, so that what subprocesses and C code write is kept, as plain lines
(Airflow's log reader shows such lines as they are), even when the process dies while writing.
"""

import io
import logging
import os
import sys
from collections.abc import Callable
from contextlib import suppress
from typing import Any

import structlog

from dagcall.airflow_bridge import memo
from dagcall.airflow_bridge.private_names import usable

_DEVNULL = os.devnull


class TaskLog:
    """The binary stream that structlog writes to: the log file of the current task, or nothing between tasks.

    It has no `fileno`: Airflow's logging would advise the kernel about that file for each logger it makes, which
    costs 0.08 ms a task.
    """

    encoding_errors = "backslashreplace"

    def __init__(self) -> None:
        self._devnull = os.open(_DEVNULL, os.O_RDWR)
        self._fd = self._devnull
        self._path = _DEVNULL
        self._last_folder = ""
        self._descriptor: Callable[[], int] | None = None

    @property
    def name(self) -> str:
        return self._path

    def open(self, path: str) -> None:
        """Make `path` the current file; it is created, with its folders, or appended to."""
        folder = os.path.dirname(path)
        if folder != self._last_folder:
            os.makedirs(folder, mode=0o775, exist_ok=True)
            self._last_folder = folder
        self._fd = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_APPEND | os.O_CLOEXEC, 0o664)
        self._path = path
        os.dup2(self._fd, 1)
        os.dup2(self._fd, 2)

    def close(self) -> None:
        """Back to nothing. Tolerates that user code closed any descriptor."""
        if self._fd != self._devnull:
            with suppress(OSError):
                os.close(self._fd)
        try:
            os.dup2(self._devnull, 0)
        except OSError:  # somebody closed it
            self._devnull = os.open(_DEVNULL, os.O_RDWR)
            os.dup2(self._devnull, 0)
        self._fd, self._path = self._devnull, _DEVNULL
        os.dup2(self._devnull, 1)
        os.dup2(self._devnull, 2)

    def route(self, descriptor: Callable[[], int]) -> None:
        """From now on, write each record to what `descriptor` says; negative: to nothing."""
        self._descriptor = descriptor

    def write(self, data: bytes) -> int:
        descriptor = self._fd if self._descriptor is None else self._descriptor()
        with suppress(OSError):  # a full disk, or a descriptor that user code closed: the task goes on
            os.write(descriptor, data)
        return len(data)

    def flush(self) -> None:
        """Nothing is buffered."""


class LineStream(io.TextIOBase):
    """`sys.stdout` or `sys.stderr` of a task: each line becomes a log record."""

    def __init__(self, fd: int, write_line: Callable[[str], Any]) -> None:
        self._descriptor = fd
        self._write_line = write_line
        self._partial = ""
        self.buffer = _ByteSide(self)

    @property
    def encoding(self) -> str:  # type: ignore[override]
        return "utf-8"

    def writable(self) -> bool:
        return True

    def isatty(self) -> bool:
        return False

    def fileno(self) -> int:
        return self._descriptor

    def write(self, text: str) -> int:
        if "\n" not in text:
            self._partial += text
            return len(text)
        *lines, self._partial = (self._partial + text).split("\n")
        for line in lines:
            self._write_line(line)
        return len(text)

    def end_line(self) -> None:
        """Write what no newline has ended."""
        if self._partial:
            line, self._partial = self._partial, ""
            self._write_line(line)


class _ByteSide(io.RawIOBase):
    def __init__(self, text: LineStream) -> None:
        self._text = text

    def writable(self) -> bool:
        return True

    def fileno(self) -> int:
        return self._text.fileno()

    def write(self, data: Any) -> int:
        self._text.write(bytes(data).decode("utf-8", "backslashreplace"))
        return len(data)


def silence() -> None:
    """For zygotes: what Airflow logs while it parses a file is in the file's import errors already."""
    from airflow.sdk.log import configure_logging

    # Not cached: loggers that are first used here must find the workers' configuration later.
    configure_logging.__wrapped__(log_level="CRITICAL", output=sys.stderr, cache_logger_on_first_use=False)


def configure() -> TaskLog:
    """Have everything logged from now on written to the answer, which is nobody's between tasks.

    For file zygotes, since it costs each of their workers 4 ms otherwise. Secrets are masked here: no supervisor reads
    these lines after us.
    """
    from airflow.sdk.log import configure_logging, reset_logging

    output = TaskLog()
    reset_logging()
    configure_logging.__wrapped__(json_output=True, output=output, sending_to_supervisor=False)
    *processors, render = structlog.get_config()["processors"]
    chain = [*processors, _tolerant(render)]
    if memo.is_wanted() and usable("log lines"):
        from dagcall.airflow_bridge.logline import fuse, quicken

        chain = fuse(chain)
        for handler in logging.getLogger().handlers:
            handler.setFormatter(quicken(handler.formatter))
    structlog.configure(processors=chain)
    return output


def streams() -> tuple[LineStream, LineStream]:
    """`sys.stdout` and `sys.stderr` of tasks."""
    out = structlog.get_logger(logger_name="task.stdout")
    err = structlog.get_logger(logger_name="task.stderr")
    # As `supervisor._create_log_forwarder` does: stdout is info, stderr is error.
    return LineStream(1, lambda line: out.info(line)), LineStream(2, lambda line: err.error(line))


def _tolerant(render: Callable[..., Any]) -> Callable[..., Any]:
    """A lone surrogate, from the name of a file for example, has no UTF-8: it is escaped rather than raised from
    wherever it is logged, which may be the handling of the task's own error."""

    def rendered(logger: Any, method_name: str, event: Any) -> Any:
        try:
            return render(logger, method_name, dict(event))  # Airflow's takes it to pieces
        except UnicodeEncodeError:
            return render(logger, method_name, _escaped(event))

    return rendered


def _escaped(value: Any) -> Any:
    if isinstance(value, str):
        return value.encode("utf-8", "backslashreplace").decode()
    if isinstance(value, dict):
        return {_escaped(key): _escaped(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [_escaped(item) for item in value]
    return value
