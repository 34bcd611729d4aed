"""Starting runs for assets: real book and journal, and a server that takes a call, refuses it, or dies."""

import asyncio
import itertools

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from dagcall.coordinator.api import CallRequest
from dagcall.coordinator.asset_runs import AssetRuns
from dagcall.coordinator.assets import Assets
from dagcall.errors import DagBroken, DagcallError, Overloaded, Unavailable
from dagcall.journal.assets import AssetEventQuery
from dagcall.journal.memory import MemoryJournal, MemoryStorage
from dagcall.model.assets import AssetCondition, AssetDeclaration, AssetRef
from dagcall.model.ids import RunKey
from dagcall.model.plan import DagPlan
from dagcall.model.records import Batch, JournalRecord, RunHead
from dagcall.model.states import RunState

pytestmark = pytest.mark.anyio

REFS = {name: AssetRef("asset", name, name) for name in ("a", "b")}


def plan(dag_id: str, kind: str, *names: str, limit: int | None = None) -> DagPlan:
    parts = tuple(AssetCondition("ref", REFS[name]) for name in names)
    assets = tuple(AssetDeclaration(name, name) for name in names)
    condition = AssetCondition(kind, parts=parts)  # type: ignore[arg-type]
    return DagPlan(dag_id, "v1", "f", "f", (), asset_condition=condition, assets=assets, max_active_runs=limit)


class Clock:
    def __init__(self) -> None:
        self._ticks = itertools.count(100)

    def now(self) -> float:
        return float(next(self._ticks))

    def new_run_id(self, run_after: float, run_type: str = "manual") -> str:
        return f"{run_type}__{run_after}"


class Server:
    """What the coordinator does with a call: the run's first batch, with the changes that belong to it."""

    def __init__(self, storage: MemoryStorage, *plans: DagPlan) -> None:
        self.journal = MemoryJournal(storage)
        self.plans = plans
        self.clock = Clock()
        self.refusals: list[DagcallError] = []
        self.requests: list[CallRequest] = []
        self.active: dict[str, int] = {}
        self.started = asyncio.Event()
        self.assets = Assets(self.journal, self.clock, lambda: self.runs.wake())
        self.elsewhere: set[str] = set()
        self.elsewhere_is_known = True
        self.runs = AssetRuns(
            self.assets,
            self.call,
            lambda dag_id: self.active.get(dag_id, 0),
            self.clock.new_run_id,
            self.starts_elsewhere,
        )

    async def __aenter__(self) -> "Server":
        await self.journal.open()
        await self.assets.load()
        self.assets.declare(self.plans)
        self._serving = asyncio.create_task(self.runs.serve())
        return self

    async def __aexit__(self, *error: object) -> None:
        self._serving.cancel()
        await asyncio.gather(self._serving, return_exceptions=True)
        await self.assets.stop()
        await self.journal.close()

    async def starts_elsewhere(self, dag_id: str) -> bool:
        if not self.elsewhere_is_known:
            raise Unavailable("nobody can tell")
        return dag_id in self.elsewhere

    async def call(self, request: CallRequest) -> None:
        if self.refusals:
            raise self.refusals.pop()
        assert request.run_id is not None
        key = RunKey(request.dag_id, request.run_id)
        head = RunHead(key, RunState.QUEUED, "v1", queued_at=1.0, run_after=request.run_after or 0.0, last_record=1)
        batch = Batch(head, (JournalRecord(1, 1.0, "accepted", {}),), request.asset_changes)
        await self.journal.append(batch)
        assert batch.assets is not None
        self.assets.durable(batch.assets)
        self.requests.append(request)
        self.started.set()

    async def emit(self, name: str) -> None:
        asset = self.assets.book.find(REFS[name].key)
        assert asset is not None
        await self.assets.create_event(asset.id, b"{}")

    async def settled(self) -> None:
        """Everything that can be started without waiting is."""
        for _ in range(20):
            await asyncio.sleep(0)

    def told(self) -> list[tuple[str, list[str]]]:
        """The runs in their order: DAG, and the assets of the events they were given."""
        return [
            (one.dag_id, [event["asset"]["name"] for event in msgspec.json.decode(one.asset_events)])
            for one in self.requests
        ]


async def test_a_due_dag_is_started_with_what_it_waited_for() -> None:
    async with Server(MemoryStorage(), plan("both", "all", "a", "b")) as server:
        await server.emit("a")
        await server.emit("a")
        await server.settled()
        assert server.told() == []
        await server.emit("b")
        await server.settled()
        assert server.told() == [("both", ["a", "a", "b"])]
        (request,) = server.requests
        assert (request.run_type, request.triggered_by) == ("asset_triggered", "asset")
        assert request.asset_changes is not None
        assert [one.triggering for one in request.asset_changes.consumed] == [False, False, True]
        assert server.assets.book.queued() == []


async def test_what_somebody_else_starts_is_not_started_here_too() -> None:
    async with Server(MemoryStorage(), plan("theirs", "any", "a"), plan("ours", "any", "a")) as server:
        server.elsewhere = {"theirs"}
        await server.emit("a")
        await server.settled()
        assert server.told() == [("ours", ["a"])]
        assert server.assets.book.queued() == []


async def test_while_nobody_can_tell_who_starts_it_it_is_not_started() -> None:
    async with Server(MemoryStorage(), plan("one", "any", "a")) as server:
        server.elsewhere_is_known = False
        await server.emit("a")
        await server.settled()
        assert server.told() == []
        assert len(server.assets.book.queued()) == 1
        server.elsewhere_is_known = True
        server.runs.wake()
        await server.settled()
        assert server.told() == [("one", ["a"])]


async def test_what_is_broken_stays_queued_until_something_changes() -> None:
    async with Server(MemoryStorage(), plan("one", "any", "a")) as server:
        server.refusals = [DagBroken("it does not import")]
        await server.emit("a")
        await server.settled()
        assert server.told() == []
        assert len(server.assets.book.queued()) == 1
        server.assets.declare(server.plans)
        await server.settled()
        assert server.told() == [("one", ["a"])]


async def test_overload_is_tried_again_by_itself(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("dagcall.coordinator.asset_runs._AGAIN", 0.0)
    async with Server(MemoryStorage(), plan("one", "any", "a")) as server:
        server.refusals = [Overloaded("full"), Overloaded("full")]
        await server.emit("a")
        await asyncio.wait_for(server.started.wait(), 10)
        assert server.told() == [("one", ["a"])]


async def test_a_dag_at_its_limit_is_started_when_a_run_ends() -> None:
    async with Server(MemoryStorage(), plan("narrow", "any", "a", "b", limit=1)) as server:
        server.active["narrow"] = 1
        await server.emit("a")
        await server.emit("b")
        await server.settled()
        assert server.told() == []
        server.active["narrow"] = 0
        server.runs.wake()
        await server.settled()
        assert server.told() == [("narrow", ["a", "b"])]


@pytest.mark.parametrize("anyio_backend", ["asyncio"])
async def test_an_event_whose_run_was_not_started_starts_it_after_the_restart() -> None:
    storage = MemoryStorage()
    async with Server(storage, plan("one", "any", "a")) as server:
        server.refusals = [DagBroken("the server dies here")]
        await server.emit("a")
        await server.settled()
    for expected in ([("one", ["a"])], []):
        async with Server(storage, plan("one", "any", "a")) as again:
            again.runs.wake()
            await again.settled()
            assert again.told() == expected


STEPS = st.lists(st.sampled_from(["a", "b", "refuse", "settle", "restart"]), max_size=25)


@settings(max_examples=60, deadline=None)
@given(steps=STEPS)
def test_each_event_is_given_to_one_run_of_each_dag(steps: list[str]) -> None:
    """Whatever comes in whatever order, and wherever the server is restarted."""
    storage = MemoryStorage()
    plans = (plan("either", "any", "a", "b"), plan("both", "all", "a", "b"))

    async def main() -> None:
        emitted: list[str] = []
        given_to: dict[str, list[str]] = {"either": [], "both": []}
        parts: list[list[str]] = [[]]
        for step in [*steps, "restart", "settle"]:
            parts[-1].append(step) if step != "restart" else parts.append([])
        for part in parts:
            async with Server(storage, *plans) as server:
                for step in part:
                    if step in REFS:
                        emitted.append(step)
                        await server.emit(step)
                    elif step == "refuse":
                        server.refusals.append(DagBroken("not now"))
                    else:
                        await server.settled()
                await server.settled()
                for dag_id, names in server.told():
                    given_to[dag_id] += names
        async with Server(storage, *plans) as server:
            server.runs.wake()
            await server.settled()
            for dag_id, names in server.told():
                given_to[dag_id] += names
            assert given_to["either"] == emitted
            assert given_to["both"] == emitted[: len(given_to["both"])]
            waiting = set(emitted[len(given_to["both"]) :])
            assert waiting != {"a", "b"}, "it was due"
            consumed = await server.assets.created_runs((await server.assets.events(AssetEventQuery(limit=None)))[0])
            assert all(len({head.key.dag_id for head, _ in runs}) == len(runs) for runs in consumed.values())

    asyncio.run(main())
