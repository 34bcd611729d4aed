"""All that is known about assets but their past events: who they are, who names them, and which DAGs are due.

What it is. Pure, like the run machine: told what happened and when, it answers with what is to become durable
(`AssetChanges`). It allots the ids of assets, aliases and events, and their times, so that both grow with the order of
the changes.

Who is authoritative. The DAGs that are served say which assets there are and who is scheduled on them (`declare`); the
journal says what has happened. An event and the queue entries it makes take effect here only when they are durable
(`apply`); declarations at once, and each change carries those that are not durable yet, so that nothing durable ever
names an asset that is not.

Semantics are stock's: `AssetManager.register_asset_change` (airflow/assets/manager.py) for who is told of an event,
`DagModel.dags_needing_dagruns` (airflow/models/dag.py) for who is due, `_update_asset_orphanage`
(airflow/jobs/scheduler_job_runner.py) for which assets are active.
"""

from collections.abc import Collection, Iterable
from dataclasses import dataclass, replace
from hashlib import blake2s

from dagcall.core.asset_condition import is_met
from dagcall.model.assets import (
    Alias,
    AliasDeclaration,
    Asset,
    AssetChanges,
    AssetCondition,
    AssetDeclaration,
    AssetEvent,
    AssetKey,
    AssetRef,
    KeptAssets,
    Queued,
    Reference,
    Source,
)
from dagcall.model.plan import DagPlan

_MICROSECOND = 1e-6


@dataclass(frozen=True)
class Subscription:
    """A served DAG that is scheduled on assets."""

    condition: AssetCondition
    catchup: bool
    max_active_runs: int | None


class AssetBook:
    """Implements `asset_condition.Known`. Attributes are for reading."""

    def __init__(self, kept: KeptAssets, *, shared: bool = False) -> None:
        """`shared`: other servers have books of the same assets."""
        self._shared = shared
        self.assets = {asset.id: asset for asset in kept.assets}
        self.aliases = {alias.name: alias for alias in kept.aliases}
        self.references: dict[Reference, float] = {}
        """Of the DAGs that are served, and since when."""
        self.subscriptions: dict[str, Subscription] = {}
        self.active: set[int] = set()
        self._ids = {asset.key: asset.id for asset in kept.assets}
        self._by_name: dict[str, AssetKey] = {}
        self._by_uri: dict[str, AssetKey] = {}
        self._since = dict(kept.references)
        self._started = dict(kept.started)
        self._queue: dict[str, dict[int, Queued]] = {}
        for entry in kept.queued:
            self._queue.setdefault(entry.dag_id, {})[entry.asset_id] = entry
        self._last_event = kept.last_event
        self._last_timestamp = kept.last_timestamp
        self._unsaved_assets: dict[int, Asset] = {}
        self._unsaved_aliases: dict[str, Alias] = {}
        self._unsaved_references: dict[Reference, float | None] = {}

    # Looking up

    def find(self, key: AssetKey) -> Asset | None:
        asset_id = self._ids.get(key)
        return None if asset_id is None else self.assets[asset_id]

    def named(self, name: str) -> AssetKey | None:
        return self._by_name.get(name)

    def at(self, uri: str) -> AssetKey | None:
        return self._by_uri.get(uri)

    def behind(self, alias: str) -> tuple[AssetKey, ...]:
        known = self.aliases.get(alias)
        return () if known is None else tuple(self.assets[asset_id].key for asset_id in known.assets)

    def inactive(self, refs: Iterable[AssetRef]) -> list[AssetKey]:
        """Those of a task's inlets and outlets that no served DAG stands for (`validate_inlets_and_outlets`)."""
        keys = dict.fromkeys(ref.key for ref in refs if ref.kind == "asset")
        return [key for key in keys if self._ids.get(key) not in self.active]

    def queued(self, dag_id: str | None = None, asset_id: int | None = None) -> list[Queued]:
        return [
            entry
            for name, entries in sorted(self._queue.items())
            for entry in entries.values()
            if dag_id in (None, name) and asset_id in (None, entry.asset_id)
        ]

    # Declarations

    def declare(self, plans: Collection[DagPlan], now: float) -> None:
        """These DAGs are served now, and no others."""
        self._last_timestamp = max(round(now, 6), self._last_timestamp)
        for plan in plans:
            for asset in plan.assets:
                self._declare_asset(asset, now)
            for alias in plan.asset_aliases:
                self._declare_alias(alias)
        self._refer(plans, now)
        self.subscriptions = {
            plan.dag_id: Subscription(plan.asset_condition, plan.catchup, plan.max_active_runs)
            for plan in plans
            if plan.asset_condition is not None and not plan.refusals
        }
        self._activate()

    def _declare_asset(self, declared: AssetDeclaration, now: float) -> Asset:
        known = self.find(declared.key)
        if known is None:
            asset_id = self._new_id(declared.key, self.assets)
            known = Asset(asset_id, declared.name, declared.uri, declared.group, declared.extra, now, now)
        elif (known.group, known.extra) != (declared.group, declared.extra):
            known = replace(known, group=declared.group, extra=declared.extra, updated_at=now)
        else:
            return known
        self.assets[known.id] = self._unsaved_assets[known.id] = known
        self._ids[known.key] = known.id
        return known

    def _declare_alias(self, declared: AliasDeclaration) -> None:
        known = self.aliases.get(declared.name)
        if known is None:
            self._keep_alias(Alias(self._new_alias(declared.name), declared.name, declared.group))
        elif known.group != declared.group:
            self._keep_alias(replace(known, group=declared.group))

    def _new_alias(self, name: str) -> int:
        return self._new_id((name,), {alias.id for alias in self.aliases.values()})

    def _new_id(self, names: tuple[str, ...], taken: Collection[int]) -> int:
        """Servers that share what is kept must come to the same id for the same thing without asking each other."""
        if not self._shared:
            return max(taken, default=0) + 1
        new = int.from_bytes(blake2s("\0".join(names).encode(), digest_size=6).digest()) + 1
        while new in taken:
            new += 1
        return new

    def _keep_alias(self, alias: Alias) -> None:
        self.aliases[alias.name] = self._unsaved_aliases[alias.name] = alias

    def _refer(self, plans: Collection[DagPlan], now: float) -> None:
        current: dict[Reference, float] = {}
        for plan in plans:
            for reference in self._references_of(plan):
                if reference not in self._since:
                    self._since[reference] = self._unsaved_references[reference] = now
                current[reference] = self._since[reference]
        served = {plan.dag_id for plan in plans}
        # A DAG that is gone may be back: a file that does not import for a moment must not begin anew.
        for reference in [one for one in self._since if one.dag_id in served and one not in current]:
            del self._since[reference]
            self._unsaved_references[reference] = None
        self.references = current

    def _references_of(self, plan: DagPlan) -> Iterable[Reference]:
        if plan.asset_condition is not None:
            for ref in plan.asset_condition.refs():
                if ref.kind == "asset":
                    yield Reference("schedule", plan.dag_id, "", self._ids[ref.key])
        for task in plan.tasks:
            for ref in task.inlets:
                if ref.kind == "asset":
                    yield Reference("inlet", plan.dag_id, task.task_id, self._ids[ref.key])
            for ref in task.outlets:
                if ref.kind == "asset":
                    yield Reference("outlet", plan.dag_id, task.task_id, self._ids[ref.key])

    def _activate(self) -> None:
        """An asset is active while somebody names it. Names and URIs are unique among the active ones: first come,
        first served."""
        wanted = {reference.asset_id for reference in self.references}
        for alias in self.aliases.values():
            wanted.update(alias.assets)
        before, self.active, self._by_name, self._by_uri = self.active & wanted, set(), {}, {}
        for asset_id in (*sorted(before), *sorted(wanted - before)):
            asset = self.assets[asset_id]
            if asset.name not in self._by_name and asset.uri not in self._by_uri:
                self.active.add(asset_id)
                self._by_name[asset.name] = self._by_uri[asset.uri] = asset.key

    def unsaved(self) -> AssetChanges:
        """Declarations that are not durable yet."""
        return AssetChanges(
            assets=tuple(self._unsaved_assets.values()),
            aliases=tuple(self._unsaved_aliases.values()),
            references=tuple((one, since) for one, since in self._unsaved_references.items() if since is not None),
            forgotten=tuple(one for one, since in self._unsaved_references.items() if since is None),
        )

    # Events

    def make(self, declared: AssetDeclaration, now: float) -> Asset:
        """The asset, made if it is not known: one that a task named through an alias."""
        known = self.find(declared.key)
        return self._declare_asset(declared, now) if known is None else known

    def event(
        self,
        asset: Asset,
        source: Source,
        extra: bytes,
        now: float,
        aliases: tuple[str, ...] = (),
        partition_key: str | None = None,
    ) -> tuple[AssetEvent, list[Queued]]:
        """A new event of `asset`, and the queue entries that it makes. Neither takes effect before `apply`."""
        for name in aliases:
            alias = self.aliases.get(name) or Alias(self._new_alias(name), name, "")
            if asset.id not in alias.assets:
                self._keep_alias(replace(alias, assets=(*alias.assets, asset.id)))
                self._activate()
        self._last_event += 1
        self._last_timestamp = max(round(now, 6), round(self._last_timestamp + _MICROSECOND, 6))
        event = AssetEvent(self._last_event, asset.id, self._last_timestamp, extra, source, aliases, partition_key)
        if partition_key is not None:
            return event, []  # only partitioned schedules listen to these, which are refused
        queued = [
            Queued(dag_id, asset.id, event.timestamp)
            for dag_id, subscription in self.subscriptions.items()
            if _listens(subscription.condition, asset, aliases)
        ]
        return event, queued

    def apply(self, changes: AssetChanges) -> None:
        """They have become durable."""
        for asset in changes.assets:
            if self._unsaved_assets.get(asset.id) == asset:
                del self._unsaved_assets[asset.id]
        for alias in changes.aliases:
            if self._unsaved_aliases.get(alias.name) == alias:
                del self._unsaved_aliases[alias.name]
        for reference, since in (*changes.references, *((one, None) for one in changes.forgotten)):
            if self._unsaved_references.get(reference, 0.0) == since:
                del self._unsaved_references[reference]
        for entry in changes.queued:
            self._queue.setdefault(entry.dag_id, {})[entry.asset_id] = entry
        for entry in changes.dequeued:
            self._drop(entry)
        self._started.update(changes.started)

    def refresh(self, kept: KeptAssets) -> None:
        """What is durable by now, where other servers have changed it, too."""
        for asset in kept.assets:
            if asset.id not in self._unsaved_assets:
                self.assets[asset.id] = asset
                self._ids[asset.key] = asset.id
        for alias in kept.aliases:
            mine = self.aliases.get(alias.name)
            both = alias if mine is None else replace(mine, assets=tuple(dict.fromkeys((*alias.assets, *mine.assets))))
            if len(both.assets) == len(alias.assets):
                self.aliases[alias.name] = both
            else:  # two servers have added to it at once
                self._keep_alias(both)
        self._since |= dict(kept.references)
        self._started = dict(kept.started)
        self._queue = {}
        for entry in kept.queued:
            self._queue.setdefault(entry.dag_id, {})[entry.asset_id] = entry
        self._last_event = max(self._last_event, kept.last_event)
        self._last_timestamp = max(self._last_timestamp, kept.last_timestamp)
        self._activate()

    # The queue

    def due(self) -> list[str]:
        """The DAGs whose condition is met."""
        return [
            dag_id
            for dag_id, entries in self._queue.items()
            if (subscription := self.subscriptions.get(dag_id)) is not None
            and is_met(subscription.condition, {self.assets[asset_id].key for asset_id in entries}, self)
        ]

    def stale(self, served: Collection[str]) -> list[Queued]:
        """Entries of served DAGs that are not scheduled on assets any more."""
        return [entry for entry in self.queued() if entry.dag_id in served and entry.dag_id not in self.subscriptions]

    def take(self, dag_id: str) -> tuple[Queued, ...]:
        """All entries of a DAG, for the run that is started for them: gone from the queue, unless `put_back`. What
        comes meanwhile is for the next run."""
        return tuple(self._queue.pop(dag_id, {}).values())

    def put_back(self, taken: Iterable[Queued]) -> None:
        """No run could be started."""
        for entry in taken:
            self._queue.setdefault(entry.dag_id, {}).setdefault(entry.asset_id, entry)

    def consumes(self, dag_id: str) -> tuple[frozenset[int], frozenset[str]]:
        """Assets and aliases whose events a run of the DAG is given. As in stock, not those that the schedule names
        by `Asset.ref`: they start it, but are not told."""
        refs = list(self.subscriptions[dag_id].condition.refs())
        assets = frozenset(self._ids[ref.key] for ref in refs if ref.kind == "asset")
        return assets, frozenset(ref.name for ref in refs if ref.kind == "alias")

    def consumed_until(self, dag_id: str) -> float | None:
        """Events up to this time are not for the next run: the last run was started for them, or, without `catchup`,
        they are older than the schedule. None: all events are (`_create_dag_runs_asset_triggered`)."""
        started = self._started.get(dag_id)
        if started is not None or self.subscriptions[dag_id].catchup:
            return started
        return min((since for one, since in self.references.items() if one[:2] == ("schedule", dag_id)), default=None)

    def _drop(self, entry: Queued) -> None:
        entries = self._queue.get(entry.dag_id, {})
        if entries.get(entry.asset_id) == entry:
            del entries[entry.asset_id]
            if not entries:
                del self._queue[entry.dag_id]


def _listens(condition: AssetCondition, asset: Asset, aliases: tuple[str, ...]) -> bool:
    """Whether an event of `asset` is for a DAG with this condition, whatever else it waits for."""
    for ref in condition.refs():
        match ref.kind:
            case "asset":
                found = ref.key == asset.key
            case "name_ref":
                found = ref.name == asset.name
            case "uri_ref":
                found = ref.uri == asset.uri
            case "alias":
                found = ref.name in aliases
        if found:
            return True
    return False
