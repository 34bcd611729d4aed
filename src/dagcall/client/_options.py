"""How a call is made, as opposed to what it is called with. Kept apart from the params so that they never collide."""

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Any, Literal, TypedDict, get_args

from dagcall.errors import UsageError
from dagcall.model.survival import DURABILITIES, Durability

OnDisconnect = Literal["continue", "cancel"]


class OptionChanges(TypedDict, total=False):
    """What `with_options` takes; times are seconds.

    `wait`: how long `call` waits for an outcome before it raises `NotFinished` (whole seconds count; None: until
    there is one). `timeout`: deadline of the run itself, then `DeadlineExceeded`. `key`: idempotency key; equal
    calls with it are one run. `run_id`: the run's id instead of a generated one. `result`: answer with these tasks'
    values instead of the author's. `logical_date`: gives the run one, and with it `ds`, `ts`, `data_interval_start` and
    the like in its templates (an aware `datetime`). `on_disconnect`: `"cancel"` ends the run when a connection that waits for
    it breaks and nobody else waits; None is `"continue"`. `durability`: what the run survives, `none`, `process` or
    `power`; None: what its DAG, else the server, says. `retry`: how long to go on trying while nobody answers or the
    server refuses with Retry-After; 0: never.
    """

    wait: float | None
    timeout: float | None
    key: str | None
    run_id: str | None
    result: str | Sequence[str]
    logical_date: datetime | None
    on_disconnect: OnDisconnect | None
    durability: Durability | None
    retry: float


@dataclass(frozen=True)
class Options:
    """`OptionChanges`, checked, with the defaults."""

    wait: float | None = None
    timeout: float | None = None
    key: str | None = None
    run_id: str | None = None
    result: tuple[str, ...] = ()
    logical_date: datetime | None = None
    on_disconnect: OnDisconnect | None = None
    durability: Durability | None = None
    retry: float = 5.0

    def __post_init__(self) -> None:
        for name in ("wait", "timeout", "retry"):
            value: float | None = getattr(self, name)
            if value is not None and not (value >= 0 and math.isfinite(value)):
                raise UsageError(f"{name}={value!r}: a time is a number of seconds, 0 or more")
        if self.key is not None and not (self.key and self.key.isascii() and self.key.isprintable()):
            raise UsageError(f"key={self.key!r}: an idempotency key is printable ASCII, at least one character")
        if self.run_id == "":
            raise UsageError("run_id='': a run id has at least one character")
        if self.logical_date is not None and self.logical_date.tzinfo is None:
            raise UsageError(f"logical_date={self.logical_date!r}: it needs a time zone, such as tzinfo=datetime.UTC")
        if self.on_disconnect is not None and self.on_disconnect not in get_args(OnDisconnect):
            raise UsageError(f"on_disconnect={self.on_disconnect!r}: it is 'continue' or 'cancel'")
        if self.durability not in (None, *DURABILITIES):
            raise UsageError(f"durability={self.durability!r}: it is one of {', '.join(DURABILITIES)}")

    @property
    def is_repeatable(self) -> bool:
        """Whether a call that may have been received can be sent again without starting a second run."""
        return self.key is not None or self.run_id is not None

    def changed(self, changes: OptionChanges) -> "Options":
        """A copy with some options changed; an unknown one is a `TypeError`."""
        values: dict[str, Any] = dict(changes)
        if isinstance(one := values.get("result"), str):
            values["result"] = (one,)
        elif one is not None:
            values["result"] = tuple(one)
        return replace(self, **values)

    def for_many(self) -> "Options":
        """These options for several calls: what names one run cannot be shared by them."""
        if self.is_repeatable:
            raise UsageError("map() makes many runs: `key` and `run_id` would name one; leave them out")
        return self

    def query(self) -> tuple[tuple[str, str], ...]:
        """The options that travel in the query of a call."""
        pairs = [("result", task_id) for task_id in self.result]
        if self.timeout is not None:
            pairs.append(("timeout", f"{self.timeout:g}"))
        if self.run_id is not None:
            pairs.append(("run_id", self.run_id))
        if self.logical_date is not None:
            pairs.append(("logical_date", self.logical_date.isoformat()))
        if self.on_disconnect is not None:
            pairs.append(("on_disconnect", self.on_disconnect))
        if self.durability is not None:
            pairs.append(("durability", self.durability))
        return tuple(pairs)
