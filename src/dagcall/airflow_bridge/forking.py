"""Whether a process that has parsed a DAG file can be forked, and what stands in the way.

A fork has one thread, and shares every connection with its parent. So a file whose import starts threads, opens
connections or initialises a GPU would break in forked workers, often by hanging; its workers parse it themselves instead.

Threads are counted by the kernel, since those of C libraries are invisible to `threading`. Some libraries stop their
threads before a fork and start them again when needed (OpenBLAS, hence numpy: `pthread_atfork`): so threads count only
if they are still there after a fork has been tried.
"""

import gc
import os
import select
import signal
import sys
import threading
import warnings
from collections.abc import Callable
from contextlib import suppress
from types import FrameType, ModuleType
from typing import Any

_TRIAL_LIMIT = 5.0
"""Seconds for a fork that does nothing but end."""

Check = tuple[str, Callable[[ModuleType], bool], str]

INITIALISED: tuple[Check, ...] = (
    # https://docs.pytorch.org/docs/stable/notes/multiprocessing.html: "Cannot re-initialize CUDA in forked subprocess"
    ("torch.cuda", lambda module: bool(module.is_initialized()), "torch has initialised CUDA"),
    # https://github.com/grpc/grpc/blob/master/doc/fork_support.md: no channel may exist before a fork
    ("grpc._channel", lambda module: _has_instances(module.Channel), "a gRPC channel is open"),
    # https://docs.jax.dev: os.fork() is incompatible with multithreaded code, and JAX is multithreaded
    ("jax._src.xla_bridge", lambda module: bool(module._backends), "JAX has started its backends"),
    # https://www.tensorflow.org: its runtime owns thread pools and devices once a context exists
    (
        "tensorflow.python.eager.context",
        lambda module: getattr(module.context_safe(), "_initialized", False),
        "TensorFlow has initialised its context",
    ),
    # https://docs.ray.io: a driver's connection belongs to the process that made it
    ("ray", lambda module: bool(module.is_initialized()), "Ray is initialised"),
    # https://spark.apache.org: the gateway to the JVM belongs to the process that made it
    ("pyspark", lambda module: module.SparkContext._active_spark_context is not None, "a Spark context is active"),
)
"""Libraries that, once initialised, do not survive a fork, whatever threads they have: module, test, what it means."""

_DEVICES = (("/dev/nvidia", "a GPU is initialised (CUDA)"), ("/dev/kfd", "a GPU is initialised (ROCm)"))


class ForkWatch:
    """Watches a file being parsed: a context manager around it, then `causes`.

    A meta path finder is asked at the beginning of each import, which tells during which import threads came up.
    """

    def __init__(self) -> None:
        self._before = self._count = _count_threads()
        self._descriptors = set(_descriptors())
        self._importing = ""
        self._imports: list[str] = []
        self._started: list[tuple[threading.Thread, str]] = []

    def __enter__(self) -> "ForkWatch":
        sys.meta_path.insert(0, self)
        self._stock_start = threading.Thread.start
        threading.Thread.start = self._starter()  # type: ignore[method-assign]
        return self

    def __exit__(self, *error: object) -> None:
        threading.Thread.start = self._stock_start  # type: ignore[method-assign]
        with suppress(ValueError):
            sys.meta_path.remove(self)
        self._look()

    def find_spec(self, name: str, path: Any = None, target: Any = None) -> None:
        """Of `importlib.abc.MetaPathFinder`. Finds nothing."""
        self._look()
        self._importing = name

    def causes(self, *, by_trial: bool = True) -> list[str]:
        """Why this process must not be forked, in sentences; none if it can be. Forks once to see, `by_trial`."""
        found = [meaning for name, is_so, meaning in INITIALISED if _holds(name, is_so)]
        found += self._opened()
        if _count_threads() > self._before and not (by_trial and self._ends_threads_for_a_fork()):
            found += self._thread_causes()
        return found

    def _starter(self) -> Any:
        stock, started = self._stock_start, self._started

        def start(thread: threading.Thread) -> None:
            started.append((thread, _caller(sys._getframe(1))))
            stock(thread)

        return start

    def _look(self) -> None:
        now = _count_threads()
        if now > self._count and self._importing:
            self._imports.append(self._importing)
        self._count = now

    def _ends_threads_for_a_fork(self) -> bool:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # Python 3.12 and later warn about what is being found out here
            pid = os.fork()
        if pid == 0:
            os._exit(0)
        handle = os.pidfd_open(pid)
        try:
            has_ended = bool(select.select([handle], [], [], _TRIAL_LIMIT)[0])
            if not has_ended:
                os.kill(pid, signal.SIGKILL)
            os.waitpid(pid, 0)
        finally:
            os.close(handle)
        return has_ended and _count_threads() <= self._before

    def _thread_causes(self) -> list[str]:
        threads = [
            f"thread {thread.name!r} was started at {place}" for thread, place in self._started if thread.is_alive()
        ]
        if threads:
            return threads
        if self._imports:
            return [f"`import {name}` started threads" for name in dict.fromkeys(self._imports)]
        return ["it started threads"]

    def _opened(self) -> list[str]:
        found: dict[str, None] = {}
        for descriptor, target in _descriptors().items():
            if descriptor in self._descriptors:
                continue
            if target.startswith("socket:"):
                found["it opened a connection (a socket), which forked workers would share"] = None
            for prefix, meaning in _DEVICES:
                if target.startswith(prefix):
                    found[meaning] = None
        return list(found)


def _count_threads() -> int:
    return os.stat("/proc/self/task").st_nlink


def _descriptors() -> dict[str, str]:
    found = {}
    for name in os.listdir("/proc/self/fd"):
        with suppress(OSError):
            found[name] = os.readlink(f"/proc/self/fd/{name}")
    return found


def _holds(name: str, is_so: Callable[[ModuleType], bool]) -> bool:
    module = sys.modules.get(name)
    if module is None:
        return False
    try:
        return is_so(module)
    except Exception:  # another version of it, without what is asked for: its threads and sockets still count
        return False


def _has_instances(kind: type) -> bool:
    return any(isinstance(one, kind) for one in gc.get_objects())


def _caller(frame: FrameType | None) -> str:
    """Who started a thread: the innermost frame outside the standard library's pools and timers."""
    library = os.path.dirname(threading.__file__)
    first = frame
    while frame is not None:
        path = frame.f_code.co_filename
        if not path.startswith(library) or "site-packages" in path:
            return f"{path}:{frame.f_lineno}"
        frame = frame.f_back
    return "an unknown place" if first is None else f"{first.f_code.co_filename}:{first.f_lineno}"
