"""Which packages the import of a DAG file spends its time on: for `dagcall doctor` only, which sets `VARIABLE`.

The time of a package includes what it imports itself. Packages that the root zygote has loaded already cost nothing,
as in a server.
"""

import builtins
import os
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from typing import Any, Final

VARIABLE: Final = "DAGCALL_IMPORT_COST"
_SHOWN: Final = 3


class ImportCost:
    """A context manager around the parsing of a file."""

    def __init__(self, folder: str, environment: Mapping[str, str] = os.environ) -> None:
        self._folder = folder
        self._is_wanted = bool(environment.get(VARIABLE))
        self._seconds: dict[str, float] = {}
        self._open: list[str] = []

    def __enter__(self) -> "ImportCost":
        if self._is_wanted:
            self._stock: Callable[..., Any] = builtins.__import__
            setattr(builtins, "__import__", self._import)  # noqa: B010
        return self

    def __exit__(self, *error: object) -> None:
        if self._is_wanted:
            setattr(builtins, "__import__", self._stock)  # noqa: B010

    def dearest(self) -> list[tuple[str, float]]:
        """Packages from outside the folder and the seconds of each, the most first."""
        outside = [(name, seconds) for name, seconds in self._seconds.items() if not self._is_own(name)]
        return sorted(outside, key=lambda one: -one[1])[:_SHOWN]

    def _import(
        self, name: str, globals: Any = None, locals: Any = None, fromlist: Sequence[str] = (), level: int = 0
    ) -> Any:
        package = name.partition(".")[0]
        if level or not package or package in self._open:
            return self._stock(name, globals, locals, fromlist, level)
        self._open.append(package)
        begun = time.monotonic()
        try:
            return self._stock(name, globals, locals, fromlist, level)
        finally:
            self._open.pop()
            self._seconds[package] = self._seconds.get(package, 0.0) + time.monotonic() - begun

    def _is_own(self, package: str) -> bool:
        module = sys.modules.get(package)
        if module is None:  # its import has failed, and the report tells of that
            return True
        places = [getattr(module, "__file__", None), *getattr(module, "__path__", ())]
        return any(str(place).startswith(self._folder + os.sep) for place in places if place)
