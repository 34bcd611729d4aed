"""One DAG file, parsed by Airflow's own `BundleDagBag`, and everything it read while it was parsed.

The version of a file is a digest of all it depends on under the folder: itself, helper modules (those that only its
functions import included), template files that are read at parse time, data files, and the listings of folders it
looked into (DAG factories). An audit hook sees them all, whatever way they are opened; asking `sys.modules` alone would
miss templates and data files. Variables and Connections that it asked for count too. What a file looked like is noted *before* it is read: should it change in between, the
note is too old, the change is noticed, and the file is parsed again; noted afterwards, old code would pass for new.
"""

import hashlib
import itertools
import os
import signal
import sys
import time
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from dagcall.airflow_bridge.sources import Sources
from dagcall.model.bundle import DAGS_FOLDER
from dagcall.workers.frames import Dependency

_IMPORT_SYSTEM = "<frozen importlib._bootstrap_external>"
_WRITING = os.O_WRONLY | os.O_RDWR


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
    """Notes what is read or listed below one folder. An audit hook cannot be removed: it is switched off."""

    folder: str
    marks: dict[str, str] = field(default_factory=dict)
    active: bool = False

    def install(self) -> None:
        sys.addaudithook(self._hook)
        self.active = True

    def note(self, path: str) -> None:
        if path not in self.marks:
            self.active = False  # marking reads the file too
            try:
                self.marks[path] = mark(path)
            finally:
                self.active = True

    def _hook(self, event: str, args: tuple[Any, ...]) -> None:
        if not self.active or event not in ("open", "os.listdir", "os.scandir"):
            return
        path = args[0]
        if isinstance(path, bytes):
            path = os.fsdecode(path)
        if path is None:
            path = "."
        if not isinstance(path, str | os.PathLike) or (event == "open" and _is_writing(args)):
            return
        absolute = os.path.abspath(path)
        if absolute != self.folder and not absolute.startswith(self.folder + os.sep):
            return
        if event == "os.listdir" and sys._getframe(1).f_code.co_filename == _IMPORT_SYSTEM:
            return  # looking for modules: its finds are opened, and so seen, one by one
        if "__pycache__" not in absolute.split(os.sep):
            self.note(absolute)


def parse_file(
    folder: str, path: str, seen: dict[str, str], *, keep: bool = False, bundle: str = DAGS_FOLDER
) -> ParsedFile:
    """Parse `path`, below `folder`, which is that of `bundle`. What the file does wrong is in `errors`; nothing is raised for it.

    `seen`: where it is noted what the file asks for while it is parsed, and what that looked like.
    With `keep`, the sources stay as they were read, for what this process and its children import later.
    """
    from airflow.dag_processing.dagbag import BundleDagBag

    sources = Sources(folder)
    sources.ignore_compiled()
    tracker = ReadTracker(folder)
    tracker.install()
    tracker.note(path)
    newest = next(reversed(sys.modules))
    begun = time.monotonic()
    errors: list[tuple[str, str]] = []
    dags: dict[str, Any] = {}
    try:
        with _real_segfaults():
            bag = BundleDagBag(
                dag_folder=path,
                bundle_path=Path(folder),
                bundle_name=bundle,
                safe_mode=False,
                load_op_links=False,
            )
        dags = dict(bag.dags)
        errors = [(str(name), str(text)) for name, text in bag.import_errors.items()]
    except BaseException as error:  # a file may raise SystemExit or worse: the report must still be made
        errors = [(os.path.relpath(path, folder), f"{type(error).__name__}: {error}")]
    for module in _loaded_modules(folder, newest):
        tracker.note(module)
    for module in sources.imported_later(tracker.marks):
        tracker.note(module)
    tracker.active = False
    if mark(path) != tracker.marks[path]:
        # Rewritten between the look at it and the import, maybe only half: what was imported has no name that fits.
        tracker.marks[path] = f"changed while it was imported, {time.time_ns()}"
    if keep:
        sources.freeze(tracker.marks)
    marks = tracker.marks | seen
    dependencies = [Dependency(name, marks[name]) for name in sorted(marks)]
    return ParsedFile(dags, errors, dependencies, version_of(dependencies, folder, bundle), time.monotonic() - begun)


def mark(path: str) -> str:
    """What a file or directory looks like now; empty when it does not exist."""
    try:
        if os.path.isdir(path):
            return hashlib.sha256("\0".join(sorted(_listing(path))).encode()).hexdigest()
        if not os.path.isfile(path):
            return ""  # a pipe or a socket would wait for a writer
        with open(path, "rb") as file:
            return hashlib.file_digest(file, "sha256").hexdigest()
    except OSError:
        return ""


def version_of(dependencies: list[Dependency], folder: str, bundle: str = DAGS_FOLDER) -> str:
    """One name for the content of all dependencies. A copy in another bundle is another version."""
    digest = hashlib.sha256(b"" if bundle == DAGS_FOLDER else f"{bundle}\n".encode())
    for dependency in dependencies:
        name = os.path.relpath(dependency.path, folder) if os.path.isabs(dependency.path) else dependency.path
        digest.update(f"{name}\0{dependency.mark}\n".encode())
    return digest.hexdigest()[:16]


def _listing(path: str) -> list[str]:
    return [name for name in os.listdir(path) if name != "__pycache__" and not name.endswith((".pyc", "~", ".swp"))]


def _is_writing(args: tuple[Any, ...]) -> bool:
    """The event is (path, mode, flags); `os.open` has no mode."""
    mode, flags = args[1], args[2]
    if isinstance(mode, str):
        return any(letter in mode for letter in "wax+")
    return isinstance(flags, int) and bool(flags & _WRITING)


def _loaded_modules(folder: str, newest: str) -> list[str]:
    """Files of modules imported since `newest`, also of those that are not read through Python: extensions, members of
    zip archives. Older ones are not touched: in a forked process that alone copies their memory, 7 ms a file."""
    modules = [sys.modules[name] for name in itertools.takewhile(lambda name: name != newest, reversed(sys.modules))]
    files = [getattr(module, "__file__", None) for module in modules]
    paths = [os.path.abspath(file) for file in files if isinstance(file, str)]
    return [path for path in paths if path.startswith(folder + os.sep)]


class _real_segfaults:
    """Airflow's importer handles SIGSEGV in Python, which never runs: the process would fault for ever instead of
    ending, since the handler in C returns to the faulting instruction."""

    def __enter__(self) -> None:
        from airflow.dag_processing.importers import python_importer

        setattr(python_importer, "signal", _SignalsWithoutSegfault())  # noqa: B010

    def __exit__(self, *error: object) -> None:
        from airflow.dag_processing.importers import python_importer

        setattr(python_importer, "signal", signal)  # noqa: B010


class _SignalsWithoutSegfault:
    """The module `signal`, except that SIGSEGV keeps its default."""

    def __getattr__(self, name: str) -> Any:
        return getattr(signal, name)

    def signal(self, signum: int, handler: Any) -> Any:
        return None if signum == signal.SIGSEGV else signal.signal(signum, handler)
