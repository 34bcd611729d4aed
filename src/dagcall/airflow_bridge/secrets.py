"""Topic `secrets`: Variables and Connections of this Airflow, and its pools and paused DAGs.

Searched as Airflow's execution API does for its workers: the configured secrets backend, the environment, the metadata
database. A backend that fails is passed over, as there; but when nobody else knows the name, that is said, instead of
that there is no such thing. Values are told to the server only, and never part of an error or a log line. Next to each
value is a mark, which differs for different values and tells nothing about them.
"""

import functools
import hashlib
import hmac
import logging
from collections.abc import Callable
from typing import Any

from dagcall.airflow_bridge import metadata
from dagcall.airflow_bridge.metadata import reading, session
from dagcall.airflow_bridge.topics import NotNow, Refused, question

log = logging.getLogger("dagcall.airflow")

FIELDS = ("conn_id", "conn_type", "host", "schema", "login", "password", "port", "extra")
TABLES = ("connection", "variable", "slot_pool", "dag")

_complained: set[str] = set()
"""Backends whose failure was logged."""


def begin(where: str = "", has_database: bool = True) -> None:
    """`where`: the database, in words."""
    if not has_database:
        metadata.use_no_database()
    if where:
        metadata.where = f"Airflow's metadata database ({where})"


@question
@reading(lambda: "the tables could not be looked for")
def check() -> list[str]:
    """The tables that are missing."""
    from sqlalchemy import inspect

    with session() as opened:
        there = set(inspect(opened.connection()).get_table_names())
    return sorted(set(TABLES) - there)


@question
def connection(conn_id: str) -> list[Any] | None:
    """Its fields by name, and its mark."""
    return _told(conn_id, _search(*_asking_for_connection(conn_id)))


@question
def backend_connection(conn_id: str) -> list[Any] | None:
    """As `connection`, of the backend that workers would search themselves."""
    return _told(conn_id, _search(*_asking_for_connection(conn_id), [_workers_backend()]))


@question
def variable(key: str) -> list[str] | None:
    """Its text and its mark."""
    found = _search(*_asking_for_variable(key))
    return None if found is None else [found, _mark(found)]


@question
def backend_variable(key: str) -> list[str] | None:
    """As `variable`, of the backend that workers would search themselves."""
    found = _search(*_asking_for_variable(key), [_workers_backend()])
    return None if found is None else [found, _mark(found)]


Asking = Callable[[Any], tuple[Callable[..., Any], dict[str, str]]]
"""A backend's method and its arguments."""


def _asking_for_connection(conn_id: str) -> tuple[str, Asking]:
    return f"Connection {conn_id!r}", lambda backend: (backend.get_connection, {"conn_id": conn_id})


def _asking_for_variable(key: str) -> tuple[str, Asking]:
    return f"Variable {key!r}", lambda backend: (backend.get_variable, {"key": key})


@functools.cache
def _workers_backend() -> Any:
    """Made once: it has a client of a vault, say."""
    from airflow.configuration import conf
    from airflow.models.connection import Connection

    try:
        backend = conf._get_custom_secret_backend(worker_mode=True)
    except Exception as error:
        raise NotNow(f"the secrets backend could not be made ({type(error).__name__})") from None
    if backend is None:
        raise NotNow("no secrets backend is configured")
    backend._set_connection_class(Connection)
    return backend


def _told(conn_id: str, found: Any) -> list[Any] | None:
    if found is None:
        return None
    try:
        fields = {name: getattr(found, name) for name in FIELDS}
    except Exception as error:
        raise NotNow(
            f"Connection {conn_id!r} cannot be decrypted ({type(error).__name__}): is [core] fernet_key that of Airflow?"
        ) from None
    return [fields, _mark(repr(sorted(fields.items())))]


def _search(what: str, ask: Asking, backends: list[Any] | None = None) -> Any:
    """`backends`: all that Airflow's API server searches, unless others are given."""
    from airflow._shared.secrets_backend.base import call_secrets_backend_method
    from airflow.configuration import ensure_secrets_loaded
    from airflow.sdk.exceptions import AirflowSecretsBackendAccessDenied
    from airflow.secrets.metastore import MetastoreBackend

    failed = []
    for backend in ensure_secrets_loaded() if backends is None else backends:
        try:
            method, arguments = ask(backend)
            found = call_secrets_backend_method(method, team_name=None, **arguments)
        except AirflowSecretsBackendAccessDenied:  # nobody else is asked
            raise Refused("denied", f"{what}: {type(backend).__name__} denies access") from None
        except Exception as error:
            name = metadata.where if isinstance(backend, MetastoreBackend) else type(backend).__name__
            failed.append(f"{name} did not answer ({metadata.told(error)})")
            if name not in _complained:
                log.warning("%s: %s", what, failed[-1])
                _complained.add(name)
            continue
        if found is not None:
            return found
    if failed:
        raise NotNow(f"{what} could not be read: {'; '.join(failed)}")
    return None


@question
@reading(lambda **_: "the keys of Variables could not be read")
def variable_keys(prefix: str) -> list[str]:
    """Those in the database, in the order of the alphabet."""
    from airflow.models.variable import Variable
    from sqlalchemy import select

    with session() as opened:
        found = opened.scalars(select(Variable.key).where(Variable.key.startswith(prefix, autoescape=True)))
        return sorted(found)


@question
@reading(lambda key, **_: f"Variable {key!r} could not be set")
def set_variable(key: str, value: str, description: str | None) -> None:
    from airflow.models.variable import Variable

    Variable.set(key, value, description)


@question
@reading(lambda key: f"Variable {key!r} could not be deleted")
def delete_variable(key: str) -> int:
    """How many there were."""
    from airflow.models.variable import Variable

    return int(Variable.delete(key))


@question
@reading(lambda: "the Variables could not be read")
def variables() -> list[dict[str, Any]]:
    """Those in the database, by age."""
    from airflow.models.variable import Variable
    from sqlalchemy import select

    with session() as opened:
        return [
            {
                "key": one.key,
                "value": one.val,
                "description": one.description,
                "is_encrypted": bool(one.is_encrypted),
                "number": one.id,
            }
            for one in opened.scalars(select(Variable).order_by(Variable.id))
        ]


@question
@reading(lambda: "the Connections could not be read")
def connections() -> list[dict[str, Any]]:
    """Those in the database, by age. What cannot be decrypted is None."""
    from airflow.models.connection import Connection
    from sqlalchemy import select

    with session() as opened:
        found = list(opened.scalars(select(Connection).order_by(Connection.id)))
        return [{**_legible(one), "description": one.description, "number": one.id} for one in found]


def _legible(connection: Any) -> dict[str, Any]:
    fields = {}
    for name in FIELDS:
        try:
            fields[name] = getattr(connection, name)
        except Exception:  # another Fernet key
            fields[name] = None
    return fields


@question
@reading(lambda **_: "pools and paused DAGs could not be read")
def state(paused: bool) -> dict[str, Any]:
    """The pools by age, and the ids of the DAGs that are paused, if these are wanted."""
    from airflow.models.dag import DagModel
    from airflow.models.pool import Pool
    from sqlalchemy import select

    with session() as opened:
        pools = [
            {
                "name": one.pool,
                "slots": one.slots,
                "description": one.description or "",
                "include_deferred": bool(one.include_deferred),
                "number": one.id,
            }
            for one in opened.scalars(select(Pool).order_by(Pool.id))
        ]
        dag_ids = list(opened.scalars(select(DagModel.dag_id).where(DagModel.is_paused))) if paused else []
    return {"pools": pools, "paused": dag_ids}


def _mark(value: str) -> str:
    from airflow.configuration import conf

    key = conf.get("core", "fernet_key", fallback="") or "dagcall"
    return hmac.new(key.encode(), value.encode(), hashlib.sha256).hexdigest()[:16]
