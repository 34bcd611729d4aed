"""One DAG file, parsed by Airflow's own `BundleDagBag`, and everything it read while it was parsed.

The version of a file is a digest of all it depends on under the folder: itself, helper modules, template files that
are read at parse time, data files, and the listings of folders it looked into (DAG factories). An audit hook sees
them all, whatever way they are opened; asking `sys.modules` alone would miss templates and data files.
"""

import hashlib
import os
import sys
import time
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from dagcall.workers.frames import Dependency

BUNDLE_NAME = "dags-folder"
"""Airflow's name for the bundle of `[core] dags_folder`."""


@dataclass
class ParsedFile:
    """What is in a file. `dags` are live; `errors` are (relative path, text)."""

    dags: dict[str, Any]
    errors: list[tuple[str, str]]
    dependencies: list[Dependency]
    version: str
    seconds: float


@dataclass
class ReadTracker:
    """Collects what is opened or listed below one folder. An audit hook cannot be removed: it is switched off."""

    folder: str
    paths: set[str] = field(default_factory=set)
    active: bool = False

    def install(self) -> None:
        sys.addaudithook(self._hook)
        self.active = True

    def _hook(self, event: str, args: tuple[Any, ...]) -> None:
        if not self.active or event not in ("open", "os.listdir", "os.scandir"):
            return
        path = args[0]
        if isinstance(path, bytes):
            path = os.fsdecode(path)
        if path is None:
            path = "."
        if not isinstance(path, str | os.PathLike):
            return
        absolute = os.path.abspath(path)
        if event == "os.listdir" and absolute in sys.path_importer_cache:
            return  # the import system looking for modules; its finds are opened, and so seen, one by one
        if absolute == self.folder or absolute.startswith(self.folder + os.sep):
            self.paths.add(absolute)


def parse_file(folder: str, path: str) -> ParsedFile:
    """Parse `path`, below `folder`. What the file does wrong is in `errors`; nothing is raised for it."""
    from airflow.dag_processing.dagbag import BundleDagBag

    tracker = ReadTracker(folder)
    tracker.install()
    tracker.paths.add(path)
    begun = time.monotonic()
    errors: list[tuple[str, str]] = []
    dags: dict[str, Any] = {}
    relative = os.path.relpath(path, folder)
    try:
        bag = BundleDagBag(
            dag_folder=path,
            bundle_path=Path(folder),
            bundle_name=BUNDLE_NAME,
            safe_mode=False,
            load_op_links=False,
        )
        dags = dict(bag.dags)
        errors = [(str(name), str(text)) for name, text in bag.import_errors.items()]
    except BaseException as error:  # a file may raise SystemExit or worse: the report must still be made
        errors = [(relative, f"{type(error).__name__}: {error}")]
    finally:
        tracker.active = False
    dependencies = [Dependency(name, mark(name)) for name in sorted(_with_modules(tracker.paths, folder))]
    return ParsedFile(dags, errors, dependencies, version_of(dependencies, folder), time.monotonic() - begun)


def mark(path: str) -> str:
    """What a file or directory looks like now; empty when it does not exist."""
    try:
        if os.path.isdir(path):
            return hashlib.sha256("\0".join(sorted(_listing(path))).encode()).hexdigest()
        with open(path, "rb") as file:
            return hashlib.file_digest(file, "sha256").hexdigest()
    except OSError:
        return ""


def version_of(dependencies: list[Dependency], folder: str) -> str:
    """One name for the content of all dependencies."""
    digest = hashlib.sha256()
    for dependency in dependencies:
        digest.update(f"{os.path.relpath(dependency.path, folder)}\0{dependency.mark}\n".encode())
    return digest.hexdigest()[:16]


def _listing(path: str) -> list[str]:
    return [name for name in os.listdir(path) if name != "__pycache__" and not name.endswith((".pyc", "~", ".swp"))]


def _with_modules(paths: set[str], folder: str) -> set[str]:
    """Compiled modules are replaced by their sources, which is what an author changes."""
    found = {path for path in paths if "__pycache__" not in path.split(os.sep)}
    for module in list(sys.modules.values()):
        source = getattr(module, "__file__", None)
        if isinstance(source, str) and os.path.abspath(source).startswith(folder + os.sep):
            found.add(os.path.abspath(source))
    return found
