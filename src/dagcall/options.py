"""The options of Airflow's configuration section `[dagcall]`: the one table of their names, defaults and meaning.

They are read where Airflow is (`airflow_bridge.settings`), so that `airflow.cfg`, `AIRFLOW__DAGCALL__...` and Airflow's
`_CMD` and `_SECRET` forms work, and come to the server as text. The README's table is checked against this one.
"""

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, fields
from typing import Any, Self

from dagcall.errors import ConfigError
from dagcall.model.survival import DURABILITIES, ON_RESTART


def seconds(text: str) -> float:
    value = float(text)
    if not 0 < value < math.inf:
        raise ValueError
    return value


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


def no_authentication(text: str) -> str:
    """none (this version serves loopback addresses without credentials; it must not look as if it asked for any)"""
    if text != "none":
        raise ValueError
    return text


def store(text: str) -> str:
    """the URI of a folder in a store that all processes see, which memory: is not"""
    if text.startswith("memory:"):
        raise ValueError
    return text


_EXPECTED = {seconds: "a number of seconds above 0", count: "a whole number above 0", flag: "True or False"}


def option(default: Any, read: Callable[[str], Any]) -> Any:
    """`read`: the value of a text; raises ValueError when it is none."""
    return field(default=default, metadata={"read": read})


@dataclass(frozen=True, kw_only=True)
class Options:
    """What a deployment may choose. Seconds, unless a comment says otherwise; None: no limit."""

    auth: str = option("none", no_authentication)
    isolation: str = option("warm", one_of("warm", "task"))
    inherit_airflow_limits: bool = option(False, flag)
    durability: str = option("process", one_of(*DURABILITIES))
    on_restart: str = option("resume", one_of(*ON_RESTART))
    keep_runs: float | None = option(None, seconds)
    drain_limit: float = option(20.0, seconds)
    max_wait: float = option(300.0, seconds)
    heartbeat: float = option(15.0, seconds)
    memoise: bool = option(True, flag)
    max_runs: int = option(20_000, count)
    max_runs_per_dag: int | None = option(None, count)
    max_runs_per_caller: int | None = option(None, count)
    inline_limit: int = option(1 << 20, count)  # bytes of JSON
    result_storage: str | None = option(None, store)

    @classmethod
    def read(cls, texts: Mapping[str, str | None]) -> Self:
        """From the section's texts by name; None or empty: the default. Raises `ConfigError`."""
        values: dict[str, Any] = {}
        for one in fields(cls):
            text = (texts.get(one.name) or "").strip()
            if not text:
                continue
            read = one.metadata["read"]
            try:
                values[one.name] = read(text)
            except ValueError:
                expected = _EXPECTED.get(read, read.__doc__)
                raise ConfigError(f"[dagcall] {one.name} must be {expected}, not {text!r}") from None
        return cls(**values)


NAMES = tuple(one.name for one in fields(Options))
