"""The options of Airflow's configuration section `[dagcall]`: the one table of their names, defaults and meaning.

`Options` are read where Airflow is (`airflow_bridge.settings`), so that `airflow.cfg`, `AIRFLOW__DAGCALL__...` and
Airflow's `_CMD` and `_SECRET` forms work, and come to the server as text. `Launch` is what a server or a client has to
know before there is an Airflow: `airflow_cfg` reads it by the same rules. The README's table and the section that
Airflow itself shows (`provider.get_provider_info`) are made of this one.
"""

import math
from collections.abc import Callable, Iterator, Mapping
from dataclasses import Field, dataclass, field, fields
from typing import Any, Self

from dagcall.model.survival import DURABILITIES, ON_RESTART


def seconds(text: str) -> float:
    value = float(text)
    if not 0 < value < math.inf:
        raise ValueError
    return value


def seconds_or_none(text: str) -> float | None:
    """a number of seconds above 0, or 0: none"""
    return None if text == "0" else seconds(text)


def count(text: str) -> int:
    value = int(text)
    if value < 1:
        raise ValueError
    return value


def flag(text: str) -> bool:
    """As Airflow's `getboolean`."""
    value = text.lower()
    if value in ("t", "true", "1"):
        return True
    if value in ("f", "false", "0"):
        return False
    raise ValueError


def one_of(*choices: str) -> Callable[[str], str]:
    def choice(text: str) -> str:
        if text not in choices:
            raise ValueError
        return text

    choice.__doc__ = " or ".join(choices)
    return choice


def store(text: str) -> str:
    """the URI of a folder in a store that all processes see, which memory: is not"""
    if text.startswith("memory:"):
        raise ValueError
    return text


def port(text: str) -> int:
    value = int(text)
    if not 0 <= value <= 65535:
        raise ValueError
    return value


@dataclass(frozen=True)
class RecordMode:
    """Which runs are recorded in Airflow's metadata database: this share of all, and with `failures` all that failed."""

    share: float
    failures: bool = False

    @property
    def is_off(self) -> bool:
        return self.share == 0 and not self.failures

    @classmethod
    def read(cls, text: str) -> Self:
        """Raises ValueError."""
        if text in ("all", "none", "failures"):
            return cls(float(text == "all"), failures=text == "failures")
        name, _, share = text.partition(":")
        value = float(share)
        if name != "sample" or not 0 < value <= 1:
            raise ValueError
        return cls(value)


def record_mode(text: str) -> str:
    """all, failures, sample:SHARE (of 1, such as sample:0.01) or none"""
    RecordMode.read(text)
    return text


def text(text: str) -> str:
    return text


_EXPECTED = {
    seconds: "a number of seconds above 0",
    count: "a whole number above 0",
    flag: "True or False",
    port: "a port, 0 to 65535",
}
_TYPES = {seconds: "float", seconds_or_none: "float", count: "integer", port: "integer", flag: "boolean"}


def option(
    default: Any, read: Callable[[str], Any], what: str, *, unset: str = "no limit", sensitive: bool = False
) -> Any:
    """`read`: the value of a text; raises ValueError when it is none. `what`: its meaning, one line of Markdown.
    `unset`: what None means. `sensitive`: no log, page or worker may see it; `_CMD` and `_SECRET` work."""
    shown = {"read": read, "what": what, "unset": unset, "sensitive": sensitive}
    return field(default=default, metadata=shown)


class _Section:
    """Options that are read from texts."""

    @classmethod
    def read(cls, texts: Mapping[str, str | None]) -> Self:
        """From the section's texts by name; None or empty: the default. Raises `ConfigError`."""
        values: dict[str, Any] = {}
        for one in fields(cls):  # type: ignore[arg-type] # of a dataclass
            text = (texts.get(one.name) or "").strip()
            if not text:
                continue
            read = one.metadata["read"]
            try:
                values[one.name] = read(text)
            except ValueError:
                expected = _EXPECTED.get(read, read.__doc__)
                told = "its value" if one.metadata["sensitive"] else repr(text)
                from dagcall.errors import ConfigError  # here, so that who only looks at the table does not pay for it

                raise ConfigError(f"[dagcall] {one.name} must be {expected}, not {told}") from None
        return cls(**values)


@dataclass(frozen=True, kw_only=True)
class Launch(_Section):
    """What is decided before anything is started. The flags of `dagcall serve` win over these."""

    host: str = option(
        "127.0.0.1", text, "address to listen on (`--host`); only loopback addresses while `auth` is `none`"
    )
    port: int = option(8274, port, "port to listen on (`--port`); 0: a free one")
    url: str | None = option(
        None,
        text,
        "where the server is to clients: Airflow's **Call** view, `DagcallHook` without a connection, `airflow dagcall ...`",
        unset="`host` and `port`",
    )
    workers: int | None = option(
        None, count, "the most tasks at once, started on demand (`--workers`)", unset="by memory, 128 at most"
    )
    memory: int | None = option(
        None,
        count,
        "megabytes that the server and all its processes may use, before a worker is ended (`--memory`)",
        unset="the container's limit",
    )
    journal: str | None = option(
        None,
        text,
        "where runs are kept (`--journal`): `sqlite:////absolute/path.db`, `postgresql://...` or `memory:`",
        unset="`$AIRFLOW_HOME/dagcall/journal.db`",
        sensitive=True,
    )
    auth: str = option(
        "none",
        one_of("none", "airflow", "token"),
        "who is let in ([security](docs/security.md)). `none`: everybody who reaches it, so only loopback addresses are served. `airflow`: users of Airflow, with a token of `POST /auth/token`; Airflow's auth manager decides. `token`: those of `dagcall token create`",
    )
    auth_cache: float = option(
        5.0, seconds, "seconds for which a decision of Airflow's auth manager holds: so late a revoked token is refused"
    )
    tokens: str | None = option(
        None, text, "the file of `dagcall token`; servers may share it", unset="`$AIRFLOW_HOME/dagcall/tokens.json`"
    )
    audit: str = option(
        "changes",
        one_of("none", "changes", "all"),
        "what the log tells of who did what, where credentials are asked for: `changes`: calls, changes and refusals; `all`: what is read, too",
    )
    allowed_hosts: str | None = option(
        None,
        text,
        "names, with commas, by which clients address the server, besides its own",
        unset="`host`, `url` and the machine's name",
    )
    share_port: bool = option(
        False, flag, "`True`: listen on a port on which other servers listen too (`--share-port`)"
    )
    log_format: str = option(
        "text",
        one_of("text", "json"),
        "`json`: the server's own messages as [one JSON object a line](docs/observability.md#logs)",
    )


@dataclass(frozen=True, kw_only=True)
class Options(_Section):
    """What a deployment may choose. Seconds, unless a comment says otherwise; None: no limit."""

    expose: str = option(
        "marked",
        one_of("marked", "tagged", "all"),
        "which DAGs of Airflow's bundles can be called; a folder's all can. `marked`: those with a result task, and those with the tag `dagcall` (or `dagcall:...`). `tagged`: only the latter. `all`: [dagcall beside Airflow](docs/airflow.md)",
    )
    metadata_database: str = option(
        "auto",
        one_of("auto", "required", "ignored"),
        "`auto`: where Airflow has a metadata database, Variables, Connections and pools are those in it: [dagcall beside Airflow](docs/airflow.md). `required`: refuse to start without one. `ignored`: they are dagcall's own",
    )
    airflow_refresh: float = option(
        5.0,
        seconds,
        "seconds after which what was read from Airflow (Variables, Connections, pools, paused DAGs) is read again",
    )
    isolation: str = option(
        "warm",
        one_of("warm", "task"),
        "`task`: every task gets a process of its own. For one file: the tag `dagcall:isolation=task` on a DAG in it; other tags: [models](docs/models.md)",
    )
    inherit_airflow_limits: bool = option(
        False,
        flag,
        "`True`: Airflow's configured defaults bind too (`[core] parallelism`, `max_active_*_per_dag`, the slots of `default_pool`), not only limits that an author wrote",
    )
    durability: str = option(
        "process",
        one_of(*DURABILITIES),
        "what a run survives; a DAG says it with the tag `dagcall:durability=...`, a call with `durability=`. `none`: nothing, it is in the server's memory only and gone with it. `process`: the death of any process; a power cut may lose what was answered in the last moments. `power`: a power cut too, for an `fsync` a commit",
    )
    on_restart: str = option(
        "resume",
        one_of(*ON_RESTART),
        "what becomes of a run that a restart interrupted, by DAG with the tag `dagcall:on_restart=...`. `resume`: it goes on, a task that ran uses up its try. `fail`: it fails, only its teardowns run",
    )
    keep_runs: float | None = option(
        None,
        seconds,
        "seconds for which ended runs, their values and their idempotency keys are kept",
        unset="for ever",
    )
    drain_limit: float = option(
        20.0,
        seconds,
        "seconds for which a server that is told to stop (SIGTERM) waits for its runs; those that have not ended go on with the next server",
    )
    max_wait: float = option(
        300.0,
        seconds,
        "seconds: the longest wait for an outcome that a request is granted; who asks for more gets 202 then",
    )
    heartbeat: float = option(15.0, seconds, "seconds: the longest silence on a stream of events")
    memoise: bool = option(
        True, flag, "`False`: leave the Task SDK's costly calls as they are (about three times slower, same results)"
    )
    max_runs: int = option(
        20_000,
        count,
        "runs without an outcome that the server takes; further calls get 503 with `Retry-After`. One that waits costs 10 kB of memory, its caller 20 kB and an open file (`ulimit -Hn`)",
    )
    max_runs_per_dag: int | None = option(
        None,
        count,
        "runs without an outcome of one DAG; further calls get 429. A queue that is longer than a caller should wait for is refused by itself: see [overload](docs/overload.md)",
    )
    max_runs_per_caller: int | None = option(None, count, "the same of one caller")
    inline_limit: int = option(
        1 << 20, count, "bytes of JSON of a result; a larger one is answered by [reference](docs/results.md)"
    )  # bytes of JSON
    result_storage: str | None = option(
        None,
        store,
        "URI of the folder for such results, in any store that Airflow's `ObjectStoragePath` knows; `s3://CONN_ID@bucket/folder`",
        unset="`$AIRFLOW_HOME/dagcall/results`",
    )
    record: str | None = option(
        None,
        record_mode,
        "which ended runs are written into Airflow's metadata database, where its pages show them: `all`, `failures`, `sample:0.01` (a share of 1) or `none`; see [Airflow](docs/airflow.md)",
        unset="`all` where Airflow has a metadata database, else `none`",
    )
    record_keep: float | None = option(
        None,
        seconds,
        "seconds after which recorded runs are deleted from Airflow's database, unless they were cleared there",
        unset="for ever",
    )
    record_backlog: int = option(
        100_000, count, "runs that may wait to be recorded, in the journal; of more, the oldest are never recorded"
    )
    slow_call: float | None = option(
        None,
        seconds_or_none,
        "seconds from a call to its outcome; one that takes longer is [logged, with where the time went](docs/observability.md#slow-calls)",
        unset="off",
    )


def described() -> Iterator[Field[Any]]:
    """Every option, in the order of the tables."""
    yield from fields(Launch)
    yield from fields(Options)


def type_of(one: Field[Any]) -> str:
    """Airflow's name for it."""
    return _TYPES.get(one.metadata["read"], "string")


NAMES = tuple(one.name for one in described())
SENSITIVE = frozenset(one.name for one in described() if one.metadata["sensitive"])
