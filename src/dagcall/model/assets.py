"""Assets: what DAG files declare of them, what tasks report of them, and the events that follow.

`extra` is a JSON object as bytes: nobody but tasks and readers looks into it. Times are seconds since the epoch, UTC.
"""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, fields
from typing import Final, Literal, NamedTuple

NO_EXTRA: Final = b"{}"


class AssetKey(NamedTuple):
    """An asset: Airflow tells them apart by both."""

    name: str
    uri: str


AssetKind = Literal["asset", "name_ref", "uri_ref", "alias"]


@dataclass(frozen=True)
class AssetRef:
    """What an author writes where an asset is meant: an `Asset` (name and uri), `Asset.ref(name=)` or `(uri=)`, an
    `AssetAlias` (name)."""

    kind: AssetKind
    name: str = ""
    uri: str = ""

    @property
    def key(self) -> AssetKey:
        return AssetKey(self.name, self.uri)


@dataclass(frozen=True)
class AssetCondition:
    """When a DAG that is scheduled on assets is due: one asset (`ref`), or `all` or `any` of some conditions."""

    kind: Literal["ref", "all", "any"]
    ref: AssetRef | None = None
    parts: tuple["AssetCondition", ...] = ()

    def refs(self) -> Iterator[AssetRef]:
        """All assets, references and aliases in it, from left to right."""
        if self.ref is not None:
            yield self.ref
        for part in self.parts:
            yield from part.refs()


@dataclass(frozen=True)
class AssetDeclaration:
    """An `Asset` as a DAG file has it."""

    name: str
    uri: str
    group: str = "asset"
    extra: bytes = NO_EXTRA

    @property
    def key(self) -> AssetKey:
        return AssetKey(self.name, self.uri)


@dataclass(frozen=True)
class AliasDeclaration:
    """An `AssetAlias` as a DAG file has it."""

    name: str
    group: str = "asset"


@dataclass(frozen=True)
class OutletEvent:
    """What a task put into `outlet_events` for one asset; through `alias`, if it has one."""

    key: AssetKey
    extra: bytes = NO_EXTRA
    partition_key: str | None = None
    alias: str | None = None
    asset_extra: bytes = NO_EXTRA
    """The asset's own, for an asset that is made by naming it through an alias."""


@dataclass(frozen=True)
class Outlets:
    """What a task that succeeded says about its outlets."""

    refs: tuple[AssetRef, ...] = ()
    events: tuple[OutletEvent, ...] = ()


@dataclass(frozen=True)
class Source:
    """The task instance that made an event. All None: the API did."""

    dag_id: str | None = None
    task_id: str | None = None
    run_id: str | None = None
    map_index: int = -1


@dataclass(frozen=True)
class Asset:
    """A known asset. Its id is for ever, though no DAG may declare it any more."""

    id: int
    name: str
    uri: str
    group: str
    extra: bytes
    created_at: float
    updated_at: float

    @property
    def key(self) -> AssetKey:
        return AssetKey(self.name, self.uri)


@dataclass(frozen=True)
class Alias:
    """A known alias, and the ids of the assets that events were made for through it."""

    id: int
    name: str
    group: str
    assets: tuple[int, ...] = ()


AssetRole = Literal["schedule", "inlet", "outlet"]


class Reference(NamedTuple):
    """A DAG, or a task of it, that names an asset. `task_id` is empty for a schedule."""

    role: AssetRole
    dag_id: str
    task_id: str
    asset_id: int


class Queued(NamedTuple):
    """An asset that was updated, and that a DAG scheduled on it has not started for yet (Airflow's
    `AssetDagRunQueue`). `created_at`: the time of the last such event. Stock keeps that of the first, and an event that
    comes between it and the start of the run waits for yet another one; here the run is given it."""

    dag_id: str
    asset_id: int
    created_at: float


@dataclass(frozen=True)
class AssetEvent:
    """An asset was updated. Ids and timestamps grow together, and no two are equal."""

    id: int
    asset_id: int
    timestamp: float
    extra: bytes = NO_EXTRA
    source: Source = Source()
    aliases: tuple[str, ...] = ()
    partition_key: str | None = None


class Consumption(NamedTuple):
    """An event that a run was started for. The last one of a run is its trigger; the others came before it."""

    event_id: int
    dag_id: str
    run_id: str
    triggering: bool


@dataclass(frozen=True)
class AssetChanges:
    """What becomes durable together, with the records of a batch or alone.

    Of `assets`, `aliases` and `references` the newest version counts, of the queue the newest entry of a DAG and an
    asset; `dequeued` removes an entry only if it is exactly that one.
    """

    assets: tuple[Asset, ...] = ()
    aliases: tuple[Alias, ...] = ()
    references: tuple[tuple[Reference, float], ...] = ()
    """With the time since when."""
    forgotten: tuple[Reference, ...] = ()
    events: tuple[AssetEvent, ...] = ()
    queued: tuple[Queued, ...] = ()
    dequeued: tuple[Queued, ...] = ()
    started: tuple[tuple[str, float], ...] = ()
    """DAGs that a run was started for, and up to when it takes events."""
    consumed: tuple[Consumption, ...] = ()


def merged(changes: Iterable[AssetChanges]) -> AssetChanges:
    """All of them, in their order."""
    parts = list(changes)
    if len(parts) == 1:
        return parts[0]
    return AssetChanges(
        **{one.name: tuple(x for part in parts for x in getattr(part, one.name)) for one in fields(AssetChanges)}
    )


@dataclass(frozen=True)
class KeptAssets:
    """What was kept of all changes, but the events and who consumed them."""

    assets: tuple[Asset, ...] = ()
    aliases: tuple[Alias, ...] = ()
    references: tuple[tuple[Reference, float], ...] = ()
    queued: tuple[Queued, ...] = ()
    started: tuple[tuple[str, float], ...] = ()
    last_event: int = 0
    last_timestamp: float = 0.0
