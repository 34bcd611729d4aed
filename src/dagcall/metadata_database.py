"""Whether Airflow has a metadata database here, decided without Airflow and without ever making one.

Airflow always has the address of one: that which is configured, or a file in its home. It counts as existing when it is
configured and no SQLite file, or when it is an SQLite file with Airflow's tables in it. So a machine on which nobody has
set Airflow up has none. A server that cannot be reached exists all the same: who configured it wants what is in it.
"""

import contextlib
import sqlite3
from dataclasses import dataclass
from urllib.parse import quote, unquote, urlsplit

from dagcall.airflow_cfg import AirflowConfig
from dagcall.confidential import DATABASE as BLOCKED

TABLES = frozenset({"alembic_version", "connection", "dag", "slot_pool", "variable"})
"""Some of those without which it is not Airflow's."""


@dataclass(frozen=True)
class MetadataDatabase:
    """`where`: without credentials, for people. `why`: in words, why it counts as existing or not."""

    exists: bool
    where: str
    why: str


NONE = MetadataDatabase(False, "", "nobody has looked for one")


def find(config: AirflowConfig) -> MetadataDatabase:
    """By `[database] sql_alchemy_conn`, however that is given, unless it is not to be looked at. Raises ConfigError when that cannot be read."""
    if config.get("dagcall", "metadata_database") == "ignored":
        return MetadataDatabase(False, "", "[dagcall] metadata_database is ignored")
    configured = config.get("database", "sql_alchemy_conn", sensitive=True)
    return judge(configured or f"sqlite:///{config.home / 'airflow.db'}")


def judge(address: str) -> MetadataDatabase:
    if address.startswith(BLOCKED):
        return MetadataDatabase(False, "", "this process may not know it")
    where = shown(address)
    if not address.startswith("sqlite"):
        return MetadataDatabase(True, where, "[database] sql_alchemy_conn")
    path = _path(address)
    missing = TABLES - _tables(path)
    if missing == TABLES:
        return MetadataDatabase(False, where, "there is no such file, or it is not Airflow's")
    if missing:
        return MetadataDatabase(False, where, f"the table {min(missing)!r} is missing: run `airflow db migrate`")
    return MetadataDatabase(True, where, "the file has Airflow's tables")


def shown(address: str) -> str:
    """An address without user, password and options."""
    try:
        parts = urlsplit(address)
        place = f"{parts.hostname}:{parts.port}" if parts.port else parts.hostname or ""
    except ValueError:
        return "an address that is none"
    return f"{parts.scheme}://{place}{parts.path}"


def _path(address: str) -> str:
    """`sqlite:///relative`, `sqlite:////absolute`, with a driver's name or not."""
    return unquote(address.partition("://")[2].partition("?")[0].removeprefix("/"))


def _tables(path: str) -> frozenset[str]:
    """None are in a file that is not there. It is not made, nor written to."""
    with (
        contextlib.suppress(sqlite3.Error),
        contextlib.closing(sqlite3.connect(f"file:{quote(path)}?mode=ro", uri=True, timeout=5)) as database,
    ):
        return frozenset(name for (name,) in database.execute("SELECT name FROM sqlite_master WHERE type = 'table'"))
    return frozenset()
