"""What the Airflow-side process can be asked, and how a module of this folder comes to answer.

A topic is a module here. Its functions marked `@question` are its questions: `secrets.py` with `connection` answers
`secrets.connection`. Arguments come by keyword, both they and answers are plain data (MessagePack). A coroutine runs on
the process's event loop, a plain function in a thread of its own: what waits for a database belongs there. A module
may have `begin(**setup)`, called once, in a thread, before its first question; when it fails it is called again for the
next question. Imported only in a process that is asked about it.
"""

import importlib
import inspect
from collections.abc import Callable
from typing import Any, TypeVar

F = TypeVar("F", bound=Callable[..., Any])

_MARK = "__dagcall_question__"


class Refused(Exception):
    """The answer is no. `kind`: for programs, one that the asker knows; the text is for people, and has no secrets."""

    def __init__(self, kind: str, text: str) -> None:
        super().__init__(text)
        self.kind = kind


class NotNow(Exception):
    """There is no answer now, for a reason that may be told."""


def question(function: F) -> F:
    """Mark a function of a topic as one that can be asked for."""
    setattr(function, _MARK, True)
    return function


class Topic:
    """A module, and whether it was prepared."""

    def __init__(self, name: str) -> None:
        """Raises LookupError when there is no such topic."""
        if not name.isidentifier():
            raise LookupError(f"{name!r} is no topic")
        try:
            self._module = importlib.import_module(f"dagcall.airflow_bridge.{name}")
        except ModuleNotFoundError as error:
            if error.name != f"dagcall.airflow_bridge.{name}":
                raise
            raise LookupError(f"nothing here answers questions of {name!r}") from None
        self._name = name
        self._setup: dict[str, Any] = {}
        self._has_begun = False

    def set_up(self, setup: dict[str, Any]) -> None:
        """Begin anew with this."""
        self._setup, self._has_begun = setup, False

    def begin(self) -> None:
        """What the module's `begin` raises is the caller's to handle."""
        if self._has_begun:
            return
        begin = getattr(self._module, "begin", None)
        if begin is not None:
            begin(**self._setup)
        self._has_begun = True

    def find(self, name: str) -> tuple[Callable[..., Any], bool]:
        """A question's function, and whether it is a coroutine. Raises LookupError."""
        function = getattr(self._module, name, None)
        if not getattr(function, _MARK, False):
            raise LookupError(f"{self._name}.{name} cannot be asked")
        assert function is not None
        return function, inspect.iscoroutinefunction(function)
