"""What a task may leave behind in a warm process, undone after each task.

Undone: environment, time zone, locale, working directory, umask, signal handlers, mask and timers, resource limits, CPU
affinity, `sys.path` and its finders, `sys.argv`, standard streams, hooks and tracing, settings of the interpreter,
warning filters, the socket module's timeout, the root logger; contextvars (each task runs in a copy of the context);
and everything reachable from operators and DAGs, because each task works on copies (`Pristine`). Not undone, as in
any warm process or serverless container: globals of modules.

What cannot be undone (threads, child processes, descriptors left open, limits and priority lowered for good) makes the
process unfit: `Baseline.unfit` says so and the worker is retired.
"""

import copy
import datetime
import decimal
import enum
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
import types
import warnings
from contextlib import suppress
from typing import Any

from airflow.sdk import DAG
from airflow.sdk.bases.operator import BaseOperator
from airflow.sdk.definitions._internal.expandinput import EXPAND_INPUT_EMPTY
from airflow.sdk.definitions.mappedoperator import MappedOperator
from airflow.sdk.definitions.param import Param, ParamsDict

_getsignal = sys.modules["_signal"].getsignal
"""`signal.getsignal` without the conversion to an enum, which costs more than the rest of `restore` together."""
_pthread_sigmask = sys.modules["_signal"].pthread_sigmask
_SIGNALS = tuple(sorted(set(signal.valid_signals()) - {signal.SIGKILL, signal.SIGSTOP}))
_LIMITS = tuple(sorted({getattr(resource, name) for name in dir(resource) if name.startswith("RLIMIT_")}))
_SHARED_TYPES = (
    type,
    types.FunctionType,
    types.BuiltinFunctionType,
    types.MethodType,
    types.ModuleType,
    logging.Logger,
)
_IMMUTABLE_TYPES = (
    str, bytes, int, float, complex, bool, type(None), frozenset, enum.Enum, datetime.date, datetime.timedelta,
    datetime.tzinfo, *_SHARED_TYPES,
)  # fmt: skip
_NOT_COPIED = frozenset(
    {
        "dag", "_dag", "task_group", "_log", "_cached_logger", "upstream_task_ids", "downstream_task_ids",
        "_BaseOperator__init_kwargs",  # what the author passed, kept for mapping; nothing reads it while a task runs
    }
)  # fmt: skip


class Baseline:
    """The state of the process before user code ran in it."""

    def __init__(self) -> None:
        self._environ = dict(os.environ._data)  # type: ignore[attr-defined]
        self._cwd = os.getcwd()
        self._umask = os.umask(0o022)
        os.umask(self._umask)
        self._path = list(sys.path)
        self._argv = list(sys.argv)
        self._streams = (sys.stdin, sys.stdout, sys.stderr)
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
        self._hooks = (sys.excepthook, sys.displayhook, sys.unraisablehook, threading.excepthook)
        self._threads = self._count_threads()
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

    def unfit(self) -> str | None:
        """Why this process must not run another task, or None."""
        threads = self._count_threads()
        if threads > self._threads:
            return f"{threads - self._threads} thread(s) left running"
        with suppress(ChildProcessError):
            while os.waitpid(-1, os.WNOHANG)[0]:
                pass
            return "a child process left running"
        now = self._list_descriptors()
        if now - self._descriptors:
            gc.collect()  # a file object in a reference cycle is not a leak yet
            now = self._list_descriptors()
        if left := now - self._descriptors:
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
    def _count_threads() -> int:
        # The kernel's count: native threads of C libraries are invisible to `threading`.
        return os.stat("/proc/self/task").st_nlink

    @staticmethod
    def _list_descriptors() -> frozenset[str]:
        return frozenset(os.listdir("/proc/self/fd"))


class _Memo(dict[int, Any]):
    """A memo for `copy.deepcopy` on top of one that is shared and must stay as it is."""

    def __init__(self, shared: dict[int, Any]) -> None:
        super().__init__()
        self._shared = shared

    def get(self, key: int, default: Any = None) -> Any:
        value = dict.get(self, key, self)
        return self._shared.get(key, default) if value is self else value


class Pristine:
    """The DAGs of a file as they were parsed; every task is given copies of what it could change.

    Only attributes that hold something mutable are copied, found once. Operators and DAGs refer to each other, so
    a copy keeps those references as they are.
    """

    def __init__(self, dags: dict[str, DAG]) -> None:
        self._dags = dags
        self._memo: dict[int, Any] = {}
        self._keep(EXPAND_INPUT_EMPTY)  # known by its identity
        self._keep(EXPAND_INPUT_EMPTY)  # Airflow recognises it by its identity
        for dag in dags.values():
            self._keep(dag)
            for task in dag.tasks:
                self._keep(task)
            for group in dag.task_group.get_task_group_dict().values():
                self._keep(group)
        self._task_attributes = {
            (dag.dag_id, task.task_id): self._mutable_attributes(task) for dag in dags.values() for task in dag.tasks
        }
        self._dag_attributes = {
            dag.dag_id: {
                name: self._copy(getattr(dag, name))
                for name in (
                    "default_args",
                    "user_defined_macros",
                    "user_defined_filters",
                    "jinja_environment_kwargs",
                    "tags",
                )
                if getattr(dag, name, None)
            }
            for dag in dags.values()
        }
        self._dag_states = {dag.dag_id: dict(vars(dag)) for dag in dags.values()}
        self._task_states = {
            (dag.dag_id, task.task_id): dict(vars(task))
            for dag in dags.values()
            for task in dag.tasks
            if isinstance(task, BaseOperator)
        }
        self._dag_params = {dag.dag_id: _fresh_params(dag.params, self._memo) for dag in dags.values()}

    def _keep(self, value: Any) -> None:
        self._memo[id(value)] = value

    def task(self, dag_id: str, task_id: str) -> BaseOperator | MappedOperator:
        """The task to run: a copy whose mutable attributes nobody else has; the DAG it refers to is restored."""
        dag = self._dags[dag_id]
        dag.__dict__.clear()
        dag.__dict__.update(self._dag_states[dag_id])
        if self._dag_params[dag_id]:
            dag.params = _fresh_params(self._dag_params[dag_id], self._memo)
        elif dag.params:
            dag.params = ParamsDict()
        for name, value in self._dag_attributes[dag_id].items():
            if getattr(dag, name) != value:
                setattr(dag, name, self._copy(value))
        task: Any = dag.task_dict[task_id]
        state = self._task_states.get((dag_id, task_id))
        if state is None:
            clone = copy.copy(task)
        else:  # not `copy.copy`: another task may have changed the original, which it reaches through its DAG
            clone = object.__new__(type(task))
            clone.__dict__.update(state)
        for name, value in self._task_attributes[dag_id, task_id]:
            fresh = _fresh_params(value, self._memo) if isinstance(value, ParamsDict) else self._copy(value)
            object.__setattr__(clone, name, fresh)  # past BaseOperator's, which takes it for an author's assignment
        return clone  # type: ignore[no-any-return]

    def _copy(self, value: Any) -> Any:
        if not value and type(value) in (list, dict, set):
            return type(value)()
        return copy.deepcopy(value, _Memo(self._memo))

    def _mutable_attributes(self, task: Any) -> list[tuple[str, Any]]:
        """Names and own, untouched copies of attributes to hand out copies of."""
        found = []
        for name, value in _attributes(task):
            if name in _NOT_COPIED or id(value) in self._memo or _is_immutable(value):
                continue
            try:
                found.append(
                    (name, _fresh_params(value, self._memo) if isinstance(value, ParamsDict) else self._copy(value))
                )
            except Exception:
                continue  # holds a lock, a socket or the like: cannot be copied, so it is shared, as a global is
        return found


def _attributes(task: Any) -> list[tuple[str, Any]]:
    """Of an operator, which keeps them in its `__dict__`; of a mapped one, which has slots, or both."""
    found = dict(getattr(task, "__dict__", {}))
    for field in getattr(task, "__attrs_attrs__", ()):
        if hasattr(task, field.name):
            found[field.name] = getattr(task, field.name)
    return list(found.items())


def _is_immutable(value: Any) -> bool:
    if isinstance(value, _IMMUTABLE_TYPES):
        return True
    return isinstance(value, tuple) and all(_is_immutable(item) for item in value)


def _fresh_params(params: ParamsDict, memo: dict[int, Any]) -> ParamsDict:
    """Copies of the `Param` objects: `process_params` writes a run's conf into them."""
    fresh = {}
    for name, param in params.items():
        clone = object.__new__(type(param))
        clone.__dict__.update(param.__dict__)
        if not _is_immutable(param.value):
            clone.value = copy.deepcopy(param.value, _Memo(memo))
        fresh[name] = clone
    result = ParamsDict(suppress_exception=params.suppress_exception)
    result.update(fresh) if fresh else None
    return result


__all__ = ["Baseline", "Param", "Pristine"]
