"""The database of a PostgreSQL journal: where it is, how to connect to it, what its errors mean.

The URL is libpq's (`postgresql://user@host:port/database?sslmode=...`, several hosts too), with one parameter of our
own: `schema`, the schema that holds the journal (`dagcall` by default), so that several journals fit in one database.
What the URL leaves out comes from PGHOST, PGUSER, PGPASSWORD, ~/.pgpass and the rest of libpq's environment. User and
password are in no message: a journal is called by its host, port, database and schema. What callers are told while it
is away (`unreachable`) has none of these either.

Every connection is to the primary, and bounded: in connecting, in waiting for locks, in each statement, and, should
this process or the network freeze in the middle of a transaction, in that too. A proxy that gives each transaction
another connection (PgBouncer's transaction pooling) cannot be used: the server's lock belongs to a connection.
"""

import os
import re
from typing import Any, Final
from urllib.parse import SplitResult, parse_qsl, urlencode, urlsplit, urlunsplit

import asyncpg

from dagcall.errors import JournalAway, JournalCorrupt, JournalError, JournalUrlError
from dagcall.journal.lookout import TERMS

CONNECT_LIMIT: Final = 5.0
"""Seconds in which a connection must be made."""
STATEMENT_LIMIT: Final = 20.0
"""Seconds for one statement, in the database."""
ANSWER_LIMIT: Final = 30.0
"""Seconds after which an answer is not waited for any more, whatever the database does."""
LOCK_LIMIT: Final = 10.0
READERS: Final = 4
"""Connections to read with. Decoding shares one interpreter: more of them would only wait for it."""
RETRY_AFTER: Final = 2.0

_SCHEMA: Final = re.compile(r"[a-z_][a-z0-9_]{0,62}")
_HOSTS: Final = re.compile(r"(?:[\w.%-]+|\[[\w.:%]+\])?(?::\d+)?(?:,(?:[\w.%-]+|\[[\w.:%]+\])?(?::\d+)?)*")
_FORM: Final = (
    "the journal's URL cannot be understood: postgresql://user:password@host:port/database, in which characters of the "
    "password such as / @ : # ? are written %2F %40 %3A %23 %3F"
)
_OLDEST: Final = 130000

_PASSING: Final = ("08", "25006", "40", "53", "55", "57", "58")
"""Beginnings of SQLSTATE that time, or an administrator, may mend: connections, a standby that was a primary,
conflicts, resources, locks, interventions, the machine."""


class Database:
    """Where a journal is."""

    def __init__(self, url: str) -> None:
        """Raises `JournalUrlError`, which repeats nothing that may be a password."""
        parts, place = _split(url)
        query = dict(parse_qsl(parts.query, keep_blank_values=True))
        self.schema = query.pop("schema", "dagcall")
        if not _SCHEMA.fullmatch(self.schema):
            raise JournalUrlError(
                f"schema={self.schema!r} in the journal's URL: a schema has lower-case letters, digits and _ only"
            )
        self._dsn = urlunsplit(("postgresql", parts.netloc, parts.path, urlencode(query), ""))
        self.name = f"journal postgresql://{place}{parts.path}" + (
            "" if self.schema == "dagcall" else f"?schema={self.schema}"
        )

    async def connect(self) -> Any:
        """The one connection that writes. Raises what asyncpg raises, and `OSError`."""
        return await asyncpg.connect(
            self._dsn,
            **self._options(
                "dagcall journal",
                synchronous_commit="local",
                # So long a pause is one of the process: its lease is out then, and others wait for its locks.
                idle_in_transaction_session_timeout=_milliseconds(TERMS.lease),
            ),
            command_timeout=ANSWER_LIMIT,
        )

    async def listener(self) -> Any:
        """A connection that hears what servers say to each other. Raises as `connect`."""
        return await asyncpg.connect(
            self._dsn,
            **self._options("dagcall journal wire", default_transaction_read_only="on"),
            command_timeout=ANSWER_LIMIT,
        )

    async def lease_keeper(self, limit: float) -> Any:
        """One that renews a lease, and does so within `limit` seconds, or not at all. Raises as `connect`."""
        options = self._options(
            "dagcall journal leases",
            synchronous_commit="off",  # a beat that a crash takes back is made good by the next
            statement_timeout=_milliseconds(limit),
            lock_timeout=_milliseconds(limit),
            idle_in_transaction_session_timeout=_milliseconds(limit),
        )
        return await asyncpg.connect(self._dsn, **options | {"timeout": limit}, command_timeout=limit)

    def readers(self) -> Any:
        """A pool of connections that cannot write, not connected yet."""
        return asyncpg.create_pool(
            self._dsn,
            **self._options("dagcall journal reader", default_transaction_read_only="on"),
            command_timeout=ANSWER_LIMIT,
            min_size=0,
            max_size=READERS,
            reset=_nothing,  # readers leave nothing behind; the default is a round trip for each read
        )

    def _options(self, name: str, **settings: str) -> dict[str, Any]:
        return {
            "timeout": CONNECT_LIMIT,
            "target_session_attrs": "primary",
            "server_settings": {
                "application_name": name,
                "search_path": self.schema,
                "statement_timeout": _milliseconds(STATEMENT_LIMIT),
                "lock_timeout": _milliseconds(LOCK_LIMIT),
                "idle_in_transaction_session_timeout": _milliseconds(STATEMENT_LIMIT),
                "tcp_keepalives_idle": "15",  # a machine that is gone must not keep the lock for hours
                "tcp_keepalives_interval": "5",
                "tcp_keepalives_count": "3",
                "jit": "off",
                **settings,
            },
        }

    async def check(self, connection: Any) -> None:
        """Raises `JournalError` for a server or database that a journal cannot be in."""
        encoding, version = await connection.fetchrow(
            "SELECT current_setting('server_encoding'), current_setting('server_version_num')::INTEGER"
        )
        if version < _OLDEST:
            raise JournalError(f"{self.name}: PostgreSQL {version // 10000} is too old, a journal needs 13 or newer")
        if encoding != "UTF8":
            raise JournalError(f"{self.name}: the database's encoding is {encoding}, a journal needs UTF8")

    def explain(self, error: BaseException) -> JournalError:
        """What an error means for whoever runs the server."""
        if isinstance(error, JournalError):
            return type(error)(*error.args)
        state = getattr(error, "sqlstate", None)
        text = f"{type(error).__name__}: {error}" if str(error) else type(error).__name__
        if state is not None and state.startswith("XX00"):
            return JournalCorrupt(f"{self.name} is damaged ({text}): restore the database from a backup")
        if is_passing(error):
            return self.away(error)
        if state in ("28000", "28P01"):
            return JournalError(f"{self.name}: the database refuses the login: check user and password")
        if state == "3D000":
            return JournalError(f"{self.name}: there is no such database: create it")
        if state == "42501":
            return JournalError(f"{self.name}: {error}: grant it, or let an administrator create schema {self.schema}")
        return JournalError(f"{self.name}: {text}")

    def away(self, error: BaseException) -> JournalAway:
        """The database cannot serve now, as whoever runs the server is told."""
        return JournalAway(f"{self.name} cannot be reached or used now ({reason(error)})")


def unreachable(error: BaseException) -> JournalAway:
    """The database cannot serve now, as whoever asks for something is told: a caller, in the end."""
    return JournalAway(f"the journal's database cannot be reached or used now: {reason(error)}")


def reason(error: BaseException) -> str:
    """An error in a few words, for a health page: without addresses, users or passwords."""
    state = getattr(error, "sqlstate", None)
    if isinstance(error, TimeoutError):
        return "no answer in time"
    if isinstance(error, OSError):
        return os.strerror(error.errno) if error.errno else type(error).__name__
    if state is not None:
        return f"{type(error).__name__.removesuffix('Error')}, SQLSTATE {state}"
    return type(error).__name__


def is_passing(error: BaseException) -> bool:
    """Whether the same may succeed later: the database is away, restarting, full, locked, or slow."""
    state = getattr(error, "sqlstate", None)
    if state is not None:
        return bool(state.startswith(_PASSING))
    return isinstance(error, OSError | asyncpg.InterfaceError | asyncpg.InternalClientError)


def is_sure(error: BaseException) -> bool:
    """Whether an error that a commit gave says that nothing was committed. A connection that ended says nothing, nor
    does a wait that ended; whoever terminates a connection may do so after the commit."""
    state = getattr(error, "sqlstate", None)
    return state is not None and not state.startswith(("08", "57P"))


def _split(url: str) -> tuple[SplitResult, str]:
    """A URL in parts, and its hosts. Raises `JournalUrlError`."""
    try:
        parts = urlsplit(url)
    except ValueError:
        raise JournalUrlError(_FORM) from None
    place = parts.netloc.rpartition("@")[2]
    # An unescaped character of a password ends the host part too early: then the rest of it stands elsewhere.
    if parts.fragment or "@" in parts.path + parts.query or (place and not _HOSTS.fullmatch(place)):
        raise JournalUrlError(_FORM)
    return parts, place


def _milliseconds(seconds: float) -> str:
    return str(int(seconds * 1000))


async def _nothing(connection: Any) -> None:
    pass
