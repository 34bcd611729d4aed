"""Call an Apache Airflow DAG like a function.

Needs httpx only, and not even that until a client is made: names that bring more than the standard library are
imported when they are first used (PEP 562), so that a task which only wants `emit` or `Reject`, and the server,
pay for nothing else. `Reject` is Airflow's exception where Airflow is installed, else a plain one.
"""

from importlib import import_module
from typing import TYPE_CHECKING

from dagcall.deadline import time_left
from dagcall.emit import emit
from dagcall.version import __version__

if TYPE_CHECKING:
    from dagcall.client import (
        AsyncClient,
        AsyncReference,
        AsyncRunHandle,
        Chunk,
        Client,
        Reference,
        Rollback,
        RunEvent,
        RunHandle,
    )
    from dagcall.engine import Engine
    from dagcall.errors import DagcallError, NotFinished, RolledBack, RunFailed
    from dagcall.reject import Reject

__all__ = [
    "AsyncClient",
    "AsyncReference",
    "AsyncRunHandle",
    "Chunk",
    "Client",
    "DagcallError",
    "Engine",
    "NotFinished",
    "Reference",
    "Reject",
    "Rollback",
    "RolledBack",
    "RunEvent",
    "RunFailed",
    "RunHandle",
    "__version__",
    "emit",
    "time_left",
]

_LAZY = {
    "AsyncClient": "dagcall.client",
    "AsyncReference": "dagcall.client",
    "AsyncRunHandle": "dagcall.client",
    "Chunk": "dagcall.client",
    "Client": "dagcall.client",
    "DagcallError": "dagcall.errors",
    "Engine": "dagcall.engine",
    "NotFinished": "dagcall.errors",
    "Reference": "dagcall.client",
    "Rollback": "dagcall.client",
    "RolledBack": "dagcall.errors",
    "RunEvent": "dagcall.client",
    "RunFailed": "dagcall.errors",
    "RunHandle": "dagcall.client",
}


def __getattr__(name: str) -> object:
    if name == "Reject":
        value = _reject()
    elif name in _LAZY:
        value = getattr(import_module(_LAZY[name]), name)
    else:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})


def _reject() -> object:
    try:
        module = import_module("dagcall.airflow_bridge.reject")
    except ModuleNotFoundError as missing:
        if (missing.name or "").partition(".")[0] != "airflow":
            raise
        module = import_module("dagcall.reject")
    return module.Reject
