"""The coordinator as one caller sees it: lists show the DAGs, pools, Connections and Variables that the policy lets them
see, with exact totals; the rest is as if it did not exist.

Guarantees that a handler which forgets about permissions tells nothing about other DAGs: it asks this, not the
coordinator. What a route asks permission for, the guard has checked already (`guarded`); the DAG of the path is seen.
"""

from collections.abc import Awaitable, Callable, Collection, Iterable, Sequence
from dataclasses import replace
from typing import Any, TypeVar

from dagcall.coordinator.api import CoordinatorView, ImportErrorInfo, PoolStatus, RunView
from dagcall.errors import DagNotFound, RunNotFound
from dagcall.journal.assets import AssetEventQuery
from dagcall.journal.base import HeadQuery
from dagcall.model.assets import AssetEvent, Queued
from dagcall.model.ids import RunKey
from dagcall.model.inputs import InputRequest
from dagcall.model.plan import DagPlan
from dagcall.model.records import RunHead
from dagcall.server.policy import Kind

T = TypeVar("T")
Choose = Callable[[Kind, Collection[str]], Awaitable[frozenset[str]]]


class _Behind:
    """Everything else is the thing's own."""

    def __init__(self, thing: Any) -> None:
        self._thing = thing

    def __getattr__(self, name: str) -> Any:
        return getattr(self._thing, name)


class Seen(_Behind):
    """Implements `coordinator.api.CoordinatorView`. Made for one request."""

    def __init__(
        self, coordinator: CoordinatorView, choose: Choose, dags: frozenset[str], pools: frozenset[str] | None
    ) -> None:
        """`dags`: those that are served and seen. `pools`: None where the request is not about them."""
        super().__init__(coordinator)
        self._coordinator = coordinator
        self._choose = choose
        self._dags = dags
        self.catalog = _Catalog(coordinator.catalog, dags)
        self.inputs = _Inputs(coordinator.inputs, self._of_seen)
        self.assets = _Assets(coordinator.assets, dags, self._all_seen)
        self.pools = coordinator.pools if pools is None else _Pools(coordinator.pools, pools)
        self._names: frozenset[str] | None = None

    @property
    def kept(self) -> "_Kept":
        return _Kept(self._coordinator.kept, self._choose)

    async def run(self, key: RunKey) -> RunView:
        if key.dag_id not in self._dags and key.dag_id not in await self._choose("dag", {key.dag_id}):
            raise RunNotFound(dag_id=key.dag_id, run_id=key.run_id)
        return await self._coordinator.run(key)

    async def list_runs(self, query: HeadQuery) -> tuple[list[RunHead], int]:
        asked = query.dag_ids
        if asked is None or not asked <= self._dags:
            seen = await self._all_seen()
            asked = seen if asked is None else asked & seen
        return await self._coordinator.list_runs(replace(query, dag_ids=asked))

    async def dag_ids(self) -> set[str]:
        return set(await self._all_seen())

    async def _all_seen(self) -> frozenset[str]:
        """DAGs that are not served any more, but of which there are runs, included."""
        if self._names is None:
            gone = await self._coordinator.dag_ids() - self._dags
            gone -= {plan.dag_id for plan in self._coordinator.catalog.plans()}  # served, and not seen
            self._names = self._dags | (await self._choose("dag", gone) if gone else frozenset())
        return self._names

    async def _of_seen(self, items: Iterable[T], dag_id: Callable[[T], str]) -> list[T]:
        seen = await self._all_seen()
        return [one for one in items if dag_id(one) in seen]


class _Catalog(_Behind):
    def __init__(self, catalog: Any, dags: frozenset[str]) -> None:
        super().__init__(catalog)
        self._dags = dags

    def plans(self) -> list[DagPlan]:
        return [plan for plan in self._thing.plans() if plan.dag_id in self._dags]

    def find(self, dag_id: str) -> DagPlan:
        plan: DagPlan = self._thing.find(dag_id)
        if dag_id not in self._dags:
            raise DagNotFound(dag_id=dag_id)
        return plan

    def import_errors(self) -> list[ImportErrorInfo]:
        """Not of a file with a DAG that is not seen: a trace shows what is in the file."""
        hidden = {plan.relative_fileloc for plan in self._thing.plans() if plan.dag_id not in self._dags}
        return [error for error in self._thing.import_errors() if error.path not in hidden]


class _Inputs(_Behind):
    def __init__(self, inputs: Any, of_seen: Callable[..., Awaitable[list[Any]]]) -> None:
        super().__init__(inputs)
        self._of_seen = of_seen

    async def all(self, dag_id: str | None = None, run_id: str | None = None) -> list[InputRequest]:
        return await self._of_seen(await self._thing.all(dag_id, run_id), lambda one: one.dag_id)


class _Assets(_Behind):
    def __init__(self, assets: Any, dags: frozenset[str], all_seen: Callable[[], Awaitable[frozenset[str]]]) -> None:
        super().__init__(assets)
        self._all_seen = all_seen
        self.book = _Book(assets.book, dags)

    async def events(self, query: AssetEventQuery) -> tuple[list[AssetEvent], int]:
        found: tuple[list[AssetEvent], int] = await self._thing.events(
            replace(query, source_dag_ids=await self._all_seen())
        )
        return found

    async def created_runs(self, events: Sequence[AssetEvent]) -> dict[int, list[tuple[RunHead, bool]]]:
        seen = await self._all_seen()
        runs: dict[int, list[tuple[RunHead, bool]]] = await self._thing.created_runs(events)
        return {number: [one for one in started if one[0].key.dag_id in seen] for number, started in runs.items()}


class _Book(_Behind):
    def __init__(self, book: Any, dags: frozenset[str]) -> None:
        super().__init__(book)
        self._dags = dags

    @property
    def references(self) -> dict[Any, float]:
        return {one: since for one, since in self._thing.references.items() if one.dag_id in self._dags}

    def queued(self, dag_id: str | None = None, asset_id: int | None = None) -> list[Queued]:
        return [one for one in self._thing.queued(dag_id, asset_id) if one.dag_id in self._dags]


class _Pools(_Behind):
    def __init__(self, pools: Any, names: frozenset[str]) -> None:
        super().__init__(pools)
        self._names = names

    def all(self) -> list[PoolStatus]:
        return [status for status in self._thing.all() if status.pool.name in self._names]


class _Kept(_Behind):
    def __init__(self, kept: Any, choose: Choose) -> None:
        super().__init__(kept)
        self.variables = _Listed(kept.variables, choose, "variable", "key")
        self.connections = _Listed(kept.connections, choose, "connection", "conn_id")


class _Listed(_Behind):
    def __init__(self, things: Any, choose: Choose, kind: Kind, name: str) -> None:
        super().__init__(things)
        self._choose, self._kind, self._name = choose, kind, name

    async def all(self) -> list[Any]:
        things = await self._thing.all()
        names = await self._choose(self._kind, {getattr(one, self._name) for one in things})
        return [one for one in things if getattr(one, self._name) in names]
