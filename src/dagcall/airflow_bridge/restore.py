"""What a task may leave behind in a warm process, undone after each task.

Undone: environment, time zone, locale, working directory, umask, signal handlers, mask and timers, resource limits, CPU
affinity, `sys.path` and its finders, `sys.argv`, standard streams, hooks and tracing, settings of the interpreter,
warning filters, the socket module's timeout, the root logger, what is masked in logs; contextvars (each task
runs in a copy of the context); and everything reachable from operators and DAGs, because each task works on copies
(`Pristine`). Not undone, as in any warm process or serverless container: globals of modules.

What cannot be undone (threads, child processes, descriptors left open, limits and priority lowered for good) makes the
process unfit: `Baseline.unfit` says so and the worker is retired. Threads that native libraries start for themselves
(the pools of BLAS, OpenMP, torch) hold no state of a task and may stay, up to `_NATIVE_THREADS`.
"""

import _thread
import copy
import decimal
import gc
import locale
import logging
import os
import resource
import signal
import socket
import sys
import threading
import time
import warnings
from collections.abc import Callable
from contextlib import suppress
from typing import Any

from airflow.sdk import DAG
from airflow.sdk.bases.operator import BaseOperator
from airflow.sdk.definitions._internal.expandinput import EXPAND_INPUT_EMPTY
from airflow.sdk.definitions._internal.types import NOTSET, SET_DURING_EXECUTION
from airflow.sdk.definitions.mappedoperator import MappedOperator
from airflow.sdk.definitions.param import Param, ParamsDict
from airflow.sdk.execution_time.context import _AssetRefResolutionMixin

from dagcall.airflow_bridge.copier import Memo, copier, is_immutable

_getsignal = sys.modules["_signal"].getsignal
"""`signal.getsignal` without the conversion to an enum, which costs more than the rest of `restore` together."""
_pthread_sigmask = sys.modules["_signal"].pthread_sigmask
_SIGNALS = tuple(sorted(set(signal.valid_signals()) - {signal.SIGKILL, signal.SIGSTOP}))
_LIMITS = tuple(sorted({getattr(resource, name) for name in dir(resource) if name.startswith("RLIMIT_")}))
_NATIVE_THREADS = 16 + 4 * (os.cpu_count() or 1)
"""A pool has as many threads as there are CPUs; a process has a few of them."""
_SPARE = 256
"""Descriptors, and threads, that tasks may leave in a process that keeps them."""
_NOT_COPIED = frozenset(
    {
        "dag", "_dag", "task_group", "_log", "_cached_logger", "upstream_task_ids", "downstream_task_ids",
        "_BaseOperator__init_kwargs",  # what the author passed, kept for mapping; nothing reads it while a task runs
    }
)  # fmt: skip


def _maskers() -> tuple[Any, Any]:
    """Airflow has two: the Task SDK's, and one for code that imports it from Airflow itself."""
    from airflow._shared.secrets_masker import _secrets_masker as of_core
    from airflow.sdk._shared.secrets_masker import _secrets_masker as of_sdk

    return of_core(), of_sdk()


class Baseline:
    """The state of a process before a task ran in it. Made in the process that workers are forked from."""

    def __init__(self, streams: tuple[Any, Any, Any], *, keeps_open: bool = False) -> None:
        """`streams`: standard input, output and error of the tasks. `keeps_open`: descriptors and threads that a task
        leaves are its file's to use again, as long as they do not become many."""
        self._spare = _SPARE if keeps_open else 0
        self._environ = dict(os.environ._data)  # type: ignore[attr-defined]
        self._cwd = os.getcwd()
        self._umask = os.umask(0o022)
        os.umask(self._umask)
        self._path = list(sys.path)
        self._argv = list(sys.argv)
        self._streams = streams
        self._filters = list(warnings.filters)
        root = logging.getLogger()
        self._root_logger = (root.level, list(root.handlers), root.manager.disable)
        self._handlers = [(int(signum), _getsignal(signum)) for signum in _SIGNALS]
        self._mask = _pthread_sigmask(signal.SIG_BLOCK, ())
        self._limits = [(limit, resource.getrlimit(limit)) for limit in _LIMITS]
        self._for_good: str | None = None
        self._affinity = os.sched_getaffinity(0)
        self._priority = os.getpriority(os.PRIO_PROCESS, 0)
        self._finders = (list(sys.meta_path), list(sys.path_hooks))
        self._locale = locale.setlocale(locale.LC_ALL)
        self._time_zone = time.tzname
        self._interpreter = (sys.getrecursionlimit(), sys.getswitchinterval(), gc.isenabled())
        self._socket_timeout = socket.getdefaulttimeout()
        self._decimal = decimal.getcontext().copy()
        decimal.setcontext(self._decimal.copy())
        self._masks = [(masker, set(masker.patterns), masker.replacer) for masker in _maskers()]
        self._hooks = (sys.excepthook, sys.displayhook, sys.unraisablehook, threading.excepthook)
        self._threads = self._native_threads = 0
        self._descriptors: frozenset[str] = frozenset()

    def begin(self) -> None:
        """In a worker, before its first task."""
        self._threads, self._native_threads = self._count_threads()
        self._descriptors = self._list_descriptors()

    def restore(self) -> None:
        """Put everything back. Cheap when nothing was touched."""
        if sys.gettrace() is not None:
            sys.settrace(None)
        if sys.getprofile() is not None:
            sys.setprofile(None)
        self._restore_signals()
        self._restore_environ()
        self._restore_locale()
        self._restore_cwd()
        os.umask(self._umask)
        self._restore_limits()
        self._restore_interpreter()
        self._restore_logging()
        self._restore_masks()
        _AssetRefResolutionMixin._asset_ref_cache.clear()  # an asset that `Asset.ref` stands for may change

    def _restore_signals(self) -> None:
        signal.setitimer(signal.ITIMER_REAL, 0)
        for signum, handler in self._handlers:
            if _getsignal(signum) != handler:
                signal.signal(signum, handler if handler is not None else signal.SIG_DFL)
        if _pthread_sigmask(signal.SIG_BLOCK, ()) != self._mask:
            signal.pthread_sigmask(signal.SIG_SETMASK, self._mask)

    def _restore_locale(self) -> None:
        if time.tzname != self._time_zone:
            time.tzset()
        if locale.setlocale(locale.LC_ALL) != self._locale:
            locale.setlocale(locale.LC_ALL, self._locale)

    def _restore_limits(self) -> None:
        """What only a privileged process may raise again stays as it is, and makes this one unfit."""
        for limit, values in self._limits:
            if resource.getrlimit(limit) != values:
                try:
                    resource.setrlimit(limit, values)
                except (OSError, ValueError):
                    self._for_good = "a resource limit was lowered for good"
        if os.sched_getaffinity(0) != self._affinity:
            os.sched_setaffinity(0, self._affinity)
        if os.getpriority(os.PRIO_PROCESS, 0) != self._priority:
            self._for_good = "its priority was changed"

    def _restore_interpreter(self) -> None:
        for now, before in zip(
            (sys.path, sys.argv, sys.meta_path, sys.path_hooks), (self._path, self._argv, *self._finders), strict=True
        ):
            if now != before:
                now[:] = before  # type: ignore[index]
        sys.stdin, sys.stdout, sys.stderr = self._streams
        if warnings.filters != self._filters:
            warnings.filters[:] = self._filters  # type: ignore[index]
            warnings._filters_mutated()  # type: ignore[attr-defined]
        sys.excepthook, sys.displayhook, sys.unraisablehook, threading.excepthook = self._hooks
        recursion, interval, collects = self._interpreter
        if sys.getrecursionlimit() != recursion:
            sys.setrecursionlimit(recursion)
        if sys.getswitchinterval() != interval:
            sys.setswitchinterval(interval)
        if gc.isenabled() != collects:
            (gc.enable if collects else gc.disable)()
        # It is kept in a contextvar, but changed in place: a task's copy of the context refers to the same object.
        decimal.setcontext(self._decimal.copy())
        if socket.getdefaulttimeout() != self._socket_timeout:
            socket.setdefaulttimeout(self._socket_timeout)

    def _restore_logging(self) -> None:
        root = logging.getLogger()
        level, handlers, disabled = self._root_logger
        if root.level != level:
            root.setLevel(level)
        if root.handlers != handlers:
            root.handlers[:] = handlers
        if root.manager.disable != disabled:
            root.manager.disable = disabled

    def _restore_masks(self) -> None:
        """What one task had masked is no secret of the next one, whose log it would make unreadable."""
        for masker, patterns, replacer in self._masks:
            if masker.patterns != patterns:
                masker.patterns, masker.replacer = set(patterns), replacer

    def unfit(self) -> str | None:
        """Why this process must not run another task, or None."""
        threads, native = self._count_threads()
        if threads > self._threads + self._spare:
            return f"{threads - self._threads} thread(s) left running"
        if native > self._native_threads + _NATIVE_THREADS + self._spare:
            return f"{native - self._native_threads} native thread(s) left running"
        with suppress(ChildProcessError):
            while os.waitpid(-1, os.WNOHANG)[0]:
                pass
            return "a child process left running"
        now = self._list_descriptors()
        if now - self._descriptors:
            gc.collect()  # a file object in a reference cycle is not a leak yet
            now = self._list_descriptors()
        if len(left := now - self._descriptors) > self._spare:
            return f"{len(left)} descriptor(s) left open"
        if self._descriptors - now:
            return "descriptors of the worker were closed"
        return self._for_good

    def _restore_environ(self) -> None:
        """On the bytes below `os.environ`: decoding all of it for each task costs 0.05 ms."""
        now: dict[bytes, bytes] = os.environ._data  # type: ignore[attr-defined]
        if now == self._environ:
            return
        for name in now.keys() - self._environ.keys():
            os.unsetenv(name)
            del now[name]
        for name, value in self._environ.items():
            if now.get(name) != value:
                os.putenv(name, value)
                now[name] = value

    def _restore_cwd(self) -> None:
        try:
            if os.getcwd() == self._cwd:
                return
        except FileNotFoundError:
            pass
        os.chdir(self._cwd)

    @staticmethod
    def _count_threads() -> tuple[int, int]:
        """Python's own, and others. The kernel counts all: those of C libraries are invisible to `threading`."""
        python = _thread._count() + 1
        return python, os.stat("/proc/self/task").st_nlink - python

    @staticmethod
    def _list_descriptors() -> frozenset[str]:
        return frozenset(os.listdir("/proc/self/fd"))


class Pristine:
    """The DAGs of a file as they were parsed; every task is given copies of what it could change.

    Only attributes that hold something mutable are copied, found once. Operators and DAGs refer to each other, so
    a copy keeps those references as they are.
    """

    def __init__(self, dags: dict[str, DAG]) -> None:
        self._dags = dags
        self._memo: dict[int, Any] = {}
        for known_by_identity in (EXPAND_INPUT_EMPTY, NOTSET, SET_DURING_EXECUTION):
            self._keep(known_by_identity)
        for dag in dags.values():
            self._keep(dag)
            for task in dag.tasks:
                self._keep(task)
            for group in dag.task_group.get_task_group_dict().values():
                self._keep(group)
        self._task_attributes = {
            (dag.dag_id, task.task_id): self.changing_attributes(task) for dag in dags.values() for task in dag.tasks
        }
        self._dag_attributes = {
            dag.dag_id: [
                (name, make)
                for name in (
                    "default_args",
                    "user_defined_macros",
                    "user_defined_filters",
                    "jinja_environment_kwargs",
                    "tags",
                )
                if (value := getattr(dag, name, None)) and (make := self._copier(value)) is not None
            ]
            for dag in dags.values()
        }
        self._dag_states = {dag.dag_id: dict(vars(dag)) for dag in dags.values()}
        self._task_states = {
            (dag.dag_id, task.task_id): dict(vars(task))
            for dag in dags.values()
            for task in dag.tasks
            if isinstance(task, BaseOperator)
        }
        self._dag_params = {dag.dag_id: _params_copier(dag.params, self._memo) for dag in dags.values() if dag.params}

    def _keep(self, value: Any) -> None:
        self._memo[id(value)] = value

    def task(self, dag_id: str, task_id: str) -> BaseOperator | MappedOperator:
        """The task to run: a copy whose mutable attributes nobody else has; the DAG it refers to is restored."""
        dag = self._dags[dag_id]
        dag.__dict__.clear()
        dag.__dict__.update(self._dag_states[dag_id])
        if (make_params := self._dag_params.get(dag_id)) is not None:
            dag.__dict__["params"] = make_params()  # past the converter, which would copy it again
        elif dag.params:
            dag.__dict__["params"] = ParamsDict()
        for name, make in self._dag_attributes[dag_id]:
            dag.__dict__[name] = make()
        task: Any = dag.task_dict[task_id]
        state = self._task_states.get((dag_id, task_id))
        if state is None:
            clone = copy.copy(task)
        else:  # not `copy.copy`: another task may have changed the original, which it reaches through its DAG
            clone = object.__new__(type(task))
            clone.__dict__.update(state)
        for name, make in self._task_attributes[dag_id, task_id]:
            object.__setattr__(clone, name, make())  # past BaseOperator's, which takes it for an author's assignment
        return clone  # type: ignore[no-any-return]

    def _copier(self, value: Any) -> Callable[[], Any] | None:
        """Of an own, untouched copy. None: nothing to copy, or it holds a lock, a socket or the like and cannot be
        copied, so it is shared, as a global is."""
        if is_immutable(value):
            return None
        try:
            if isinstance(value, ParamsDict):
                return _params_copier(value, self._memo)
            return copier(copy.deepcopy(value, Memo(self._memo)), self._memo)
        except Exception:
            return None

    def changing_attributes(self, task: Any) -> list[tuple[str, Callable[[], Any]]]:
        """The attributes of an operator that a task could change, each with what makes copies of it as it is now."""
        return [
            (name, make)
            for name, value in _attributes(task)
            if name not in _NOT_COPIED and (make := self._copier(value)) is not None
        ]


def _attributes(task: Any) -> list[tuple[str, Any]]:
    """Of an operator, which keeps them in its `__dict__`; of a mapped one, which has slots, or both."""
    found = dict(getattr(task, "__dict__", {}))
    for field in getattr(task, "__attrs_attrs__", ()):
        if hasattr(task, field.name):
            found[field.name] = getattr(task, field.name)
    return list(found.items())


def _params_copier(params: ParamsDict, shared: dict[int, Any]) -> Callable[[], ParamsDict]:
    """New `Param` objects each time: `process_params` writes a run's conf into them."""
    kept = []
    for name, param in params.items():
        state = dict(vars(param))
        make_value = copier(copy.deepcopy(state["value"], Memo(shared)), shared)
        kept.append((name, type(param), state, make_value))

    def fresh() -> ParamsDict:
        new = {}
        for name, kind, state, make_value in kept:
            param = new[name] = object.__new__(kind)
            param.__dict__.update(state)
            if make_value is not None:
                param.value = make_value()
        return ParamsDict(new, params.suppress_exception)

    return fresh


__all__ = ["Baseline", "Param", "Pristine"]
