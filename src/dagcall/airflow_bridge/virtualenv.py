"""Says in one sentence why the virtual environment of a task could not be built.

The operators' own exception names the command and its exit code; why it failed is only in the log, which a caller of
the DAG does not see. What is raised here is that exception, with a better message.
"""

import logging
import re
import subprocess
from collections.abc import Sequence
from typing import Any

_CONCLUSION = "╰─▶"
"""Begins the last part of uv's explanation, which may go on over several lines."""
_ERROR = re.compile(r"^\s*error:\s*", re.IGNORECASE)
_NOTICE = "[notice]"
_LONGEST = 300


class EnvironmentNotBuilt(subprocess.CalledProcessError):
    """A command that builds a task's virtual environment failed."""

    def __init__(self, error: subprocess.CalledProcessError, lines: Sequence[str]) -> None:
        super().__init__(error.returncode, error.cmd, "\n".join(lines))

    def __str__(self) -> str:
        return f"The task's virtual environment could not be built: {reason(self.output.splitlines(), self.returncode)}"


def reason(lines: Sequence[str], status: int) -> str:
    """The line of pip's or uv's output that says what is wrong, without its 'ERROR:'."""
    said = [line.rstrip() for line in lines if line.strip() and not line.lstrip().startswith(_NOTICE)]
    begins = [number for number, line in enumerate(said) if _CONCLUSION in line]
    if begins:
        text = " ".join(line.strip() for line in said[begins[-1] :]).replace(_CONCLUSION, "").strip()
    else:
        text = next((line for line in reversed(said) if _ERROR.match(line)), said[-1] if said else "")
    text = _ERROR.sub("", text).strip() or f"the command ended with exit code {status} and said nothing"
    return text if len(text) <= _LONGEST else f"{text[:_LONGEST]}..."


class _Lines(logging.Handler):
    def __init__(self) -> None:
        super().__init__(logging.INFO)
        self.lines: list[str] = []

    def emit(self, record: logging.LogRecord) -> None:
        if record.msg == "%s":
            self.lines.append(record.getMessage())


def install() -> bool:
    """False where the operators of this version do it differently; their own message is then what a caller sees."""
    from airflow.providers.standard.utils import python_virtualenv

    stock = getattr(python_virtualenv, "_execute_in_subprocess", None)
    if stock is None:
        return False

    def execute_in_subprocess(*args: Any, **kwargs: Any) -> None:
        output = _Lines()
        logger = logging.getLogger(python_virtualenv.__name__)
        logger.addHandler(output)
        try:
            stock(*args, **kwargs)
        except subprocess.CalledProcessError as error:
            raise EnvironmentNotBuilt(error, output.lines) from error
        finally:
            logger.removeHandler(output)

    python_virtualenv._execute_in_subprocess = execute_in_subprocess
    return True
