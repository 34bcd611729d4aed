"""The Python sources below one folder, as one process sees them.

Code is always compiled from the source: a `.pyc` is trusted when time (in whole seconds) and size agree, so a module
that was rewritten within a second to the same size would come back as it was. And once a file is loaded its sources
stay what they were, for modules that are imported later and for whoever asks for source text (`inspect.getsource`, on
which `@task.virtualenv` rests; tracebacks): a run ends with the code it began with.
"""

import ast
import linecache
import os
import sys
from collections.abc import Iterable, Iterator
from contextlib import suppress
from importlib.machinery import SourceFileLoader
from typing import Any


class Sources:
    """Patches the import system of this process. Each process loads one DAG file."""

    def __init__(self, folder: str) -> None:
        self._below = folder + os.sep
        self._kept: dict[str, bytes] = {}

    def ignore_compiled(self) -> None:
        """From now on modules below the folder are compiled anew; compiled forms are neither read nor written."""
        stock = SourceFileLoader.path_stats

        def path_stats(loader: SourceFileLoader, path: str) -> Any:
            if os.path.abspath(path).startswith(self._below):
                raise OSError("compiled forms are not used")  # what `SourceLoader.get_code` takes for 'unknown'
            return stock(loader, path)

        SourceFileLoader.path_stats = path_stats  # type: ignore[method-assign,assignment]

    def freeze(self, paths: Iterable[str]) -> None:
        """Keep the text of these files, for imports and for `linecache`."""
        for path in paths:
            if path.endswith(".py"):
                with suppress(OSError, ValueError), open(path, "rb") as file:
                    data = file.read()
                    self._kept[path] = data
                    lines = data.decode("utf-8", "replace").splitlines(keepends=True)
                    # Without a time, `linecache.checkcache` leaves an entry alone.
                    linecache.cache[path] = (len(data), None, lines, path)
        stock = SourceFileLoader.get_data

        def get_data(loader: SourceFileLoader, path: str) -> bytes:
            kept = self._kept.get(os.path.abspath(path))
            return stock(loader, path) if kept is None else kept

        SourceFileLoader.get_data = get_data  # type: ignore[method-assign,assignment]

    def imported_later(self, known: Iterable[str]) -> list[str]:
        """Modules below the folder that these files import, at any depth, and that are not among them yet: those
        imported by functions."""
        found: dict[str, None] = {}
        pending = [path for path in known if path.endswith(".py")]
        seen = set(pending)
        while pending:
            path = pending.pop()
            for target in self._imports(path):
                if target not in seen:
                    seen.add(target)
                    found[target] = None
                    pending.append(target)
        return list(found)

    def _imports(self, path: str) -> Iterator[str]:
        try:
            with open(path, "rb") as file:
                tree = ast.parse(file.read())
        except (OSError, SyntaxError, ValueError):
            return
        roots = [root for root in map(os.path.abspath, sys.path) if (root + os.sep).startswith(self._below)]
        for node in ast.walk(tree):
            match node:
                case ast.Import(names=names):
                    for alias in names:
                        for root in roots:
                            yield from _modules(root, alias.name.split("."))
                case ast.ImportFrom(module=module, names=names, level=level):
                    parts = module.split(".") if module else []
                    starts = [_ascend(path, level)] if level else roots
                    for start in starts:
                        yield from _modules(start, parts)
                        for alias in names:
                            yield from _modules(start, [*parts, alias.name])


def _ascend(path: str, level: int) -> str:
    for _ in range(level):
        path = os.path.dirname(path)
    return path


def _modules(root: str, parts: list[str]) -> Iterator[str]:
    """The files that importing `a.b.c` from `root` would run."""
    for count in range(1, len(parts) + 1):
        base = os.path.join(root, *parts[:count])
        for candidate in (base + ".py", os.path.join(base, "__init__.py")):
            if os.path.isfile(candidate):
                yield candidate
