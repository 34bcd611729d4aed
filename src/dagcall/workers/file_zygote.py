"""A parsed DAG file, and the process that holds it and can give workers. Values only; `fleet` is authoritative."""

from collections.abc import Callable
from dataclasses import dataclass, field

import msgspec

from dagcall.model.plan import DagPlan
from dagcall.workers.connection import Connection
from dagcall.workers.frames import Dependency, Loaded


@dataclass(frozen=True)
class LoadedFile:
    """A parsed file: its plans by DAG id, and what it depends on."""

    path: str
    version: str
    plans: dict[str, DagPlan]
    errors: list[tuple[str, str]]
    dependencies: list[Dependency]
    seconds: float
    unforkable: tuple[str, ...] = ()
    """Why its workers each parse it themselves."""
    costs: tuple[tuple[str, float], ...] = ()
    """Packages that took long to import, and the seconds: where somebody asked."""

    @classmethod
    def from_frame(cls, frame: Loaded) -> "LoadedFile":
        plans = [msgspec.msgpack.decode(plan, type=DagPlan) for plan in frame.plans]
        return cls(
            frame.path,
            frame.version,
            {plan.dag_id: plan for plan in plans},
            [(name, text) for name, text in frame.errors],
            frame.dependencies,
            frame.seconds,
            tuple(frame.unforkable),
            tuple(frame.costs),
        )


@dataclass
class FileZygote:
    """A file zygote that has parsed its file; or, `alone`, a worker that has, and after which more can be started."""

    ident: int
    pid: int
    connection: Connection
    loaded: LoadedFile
    alone: bool = False
    is_taken: bool = False
    """Of a worker: it was given away."""
    on_lost: Callable[[], None] = lambda: None
    forked: set[int] = field(default_factory=set)


__all__ = ["FileZygote", "LoadedFile"]
