"""One run for several calls: by key, by content."""

import asyncio
import itertools
from collections.abc import AsyncIterator, Awaitable, Callable
from typing import Any

import pytest

from dagcall.coordinator.api import CallRequest, Shared
from dagcall.coordinator.run import Run
from dagcall.coordinator.sharing import Sharing, body_of, canonical
from dagcall.core.machine import RunMachine
from dagcall.errors import IdempotencyMismatch, InvalidParams, RunExists, RunNotFound
from dagcall.journal.memory import MemoryJournal, MemoryStorage
from dagcall.model.commands import Failure, Outcome
from dagcall.model.events import ErrorInfo, RunAccepted
from dagcall.model.ids import RunKey
from dagcall.model.plan import DagPlan, TaskPlan
from dagcall.model.records import Batch, JournalRecord, RunHead
from dagcall.model.states import OutcomeKind, RunState

pytestmark = pytest.mark.anyio


def plan_of(**more: Any) -> DagPlan:
    return DagPlan("quote", "v1", "/dags/quote.py", "quote.py", (TaskPlan("price", is_result=True),), **more)


class House:
    """Begins runs, keeps them in a journal, and finds them again."""

    def __init__(self, journal: MemoryJournal, plan: DagPlan) -> None:
        self.journal = journal
        self.plan = plan
        self.runs: dict[RunKey, Run] = {}
        self.now = 100.0
        self.refusals = 0
        self.shared: list[Shared] = []
        self.sharing = Sharing(journal, self.find, lambda: self.now)
        self._numbers = itertools.count(1)

    async def find(self, key: RunKey) -> Run:
        if key not in self.runs:
            raise RunNotFound(dag_id=key.dag_id, run_id=key.run_id)
        return self.runs[key]

    def begin(self, request: CallRequest) -> Callable[[], Awaitable[Run]]:
        async def begin() -> Run:
            await asyncio.sleep(0)
            if self.refusals:
                self.refusals -= 1
                raise InvalidParams(dag_id=request.dag_id)
            key = RunKey(request.dag_id, f"run-{next(self._numbers)}")
            conf = canonical(request.conf).encode()
            event = RunAccepted(*key, "v1", conf, request.results, idempotency_key=request.idempotency_key)
            machine = RunMachine(self.plan, key)
            machine.step(event, self.now)
            head = RunHead(
                key, RunState.QUEUED, "v1", self.now, self.now, last_record=1, conf=conf,
                caller=request.caller, idempotency_key=request.idempotency_key,
            )  # fmt: skip
            await self.journal.append(Batch(head, (JournalRecord(1, self.now, "accepted", {}, event),)))
            run = self.runs[key] = Run(key, self.plan, machine, head)
            return run

        return begin

    async def call(self, caller: str = "ann", key: str | None = "k", **params: Any) -> Run:
        return await self.by_key(CallRequest("quote", params, caller=caller, idempotency_key=key))

    async def by_key(self, request: CallRequest) -> Run:
        run, shared = await self.sharing.by_key(request, self.begin(request))
        self.shared.append(shared)
        return run

    async def share(self, caller: str = "ann", **params: Any) -> Run:
        return await self.by_content(CallRequest("quote", params, caller=caller, may_share=True))

    async def by_content(self, request: CallRequest) -> Run:
        run, shared = await self.sharing.by_content(request, self.plan, self.begin(request))
        self.shared.append(shared)
        return run

    def answer(self, run: Run, kind: OutcomeKind = OutcomeKind.SUCCESS) -> None:
        failure = None if kind is OutcomeKind.SUCCESS else Failure(ErrorInfo("ValueError", "no"))
        run.answer(Outcome(kind, {}, ("price",), failure), self.now)
        self.sharing.answered(run)


@pytest.fixture
async def storage() -> MemoryStorage:
    return MemoryStorage()


@pytest.fixture
async def house(storage: MemoryStorage) -> AsyncIterator[House]:
    journal = MemoryJournal(storage)
    await journal.open()
    yield House(journal, plan_of())
    await journal.close()


async def test_a_key_names_one_run_while_it_runs_and_after(house: House) -> None:
    first = await house.call(nights=2)
    assert await house.call(nights=2) is first
    house.answer(first, OutcomeKind.FAILED)
    assert await house.call(nights=2.0) is first
    assert len(house.runs) == 1


async def test_calls_with_one_key_at_the_same_moment_are_one_run(house: House) -> None:
    runs = await asyncio.gather(*(house.call(nights=2) for _ in range(50)))
    assert len({id(run) for run in runs}) == len(house.runs) == 1


async def test_a_key_belongs_to_one_caller_and_one_body(house: House) -> None:
    first = await house.call(nights=2)
    assert await house.call("bob", nights=2) is not first
    assert await house.call(key="other", nights=2) is not first
    for request in (
        CallRequest("quote", {"nights": 3}, caller="ann", idempotency_key="k"),
        CallRequest("quote", {"nights": 2}, ("tax",), caller="ann", idempotency_key="k"),
    ):
        with pytest.raises(IdempotencyMismatch) as mismatch:
            await house.by_key(request)
        assert mismatch.value.run_id == first.key.run_id


async def test_other_bodies_at_the_same_moment_are_refused_too(house: House) -> None:
    answers = await asyncio.gather(*(house.call(nights=n % 2) for n in range(20)), return_exceptions=True)
    assert len(house.runs) == 1
    assert sum(isinstance(one, IdempotencyMismatch) for one in answers) == 10


async def test_a_refused_call_uses_no_key(house: House) -> None:
    house.refusals = 1
    with pytest.raises(InvalidParams):
        await house.call(nights="two")
    assert (await house.call(nights=2)).key.run_id == "run-1"


async def test_whoever_waited_for_a_call_that_was_refused_calls_itself(house: House) -> None:
    house.refusals = 2
    answers = await asyncio.gather(*(house.call(nights=2) for _ in range(5)), return_exceptions=True)
    assert [type(one).__name__ for one in answers] == ["InvalidParams"] * 2 + ["Run"] * 3
    assert len(house.runs) == 1


async def test_a_caller_that_leaves_at_once_does_not_take_the_run_along(house: House) -> None:
    leaving, staying = asyncio.ensure_future(house.call(nights=2)), asyncio.ensure_future(house.call(nights=2))
    await asyncio.sleep(0)
    leaving.cancel()
    assert (await staying).key.run_id == "run-1"
    assert len(house.runs) == 1


async def test_a_key_outlives_the_server(storage: MemoryStorage, house: House) -> None:
    first = await house.call(nights=2)
    await house.journal.close()
    again = MemoryJournal(storage)
    await again.open()
    later = House(again, house.plan)
    later.runs = house.runs
    assert await later.call(nights=2) is first
    del later.runs[first.key]
    await again.delete(first.key)
    assert await later.call(nights=2) is not first
    await again.close()


async def test_identical_calls_share_a_run_only_where_the_dag_says_so(house: House) -> None:
    assert await house.share(nights=2) is not await house.share(nights=2)
    house.plan = plan_of(coalesce=True)
    runs = await asyncio.gather(*(house.share(nights=2) for _ in range(20)))
    assert len({id(run) for run in runs}) == 1
    assert await house.share(nights=2) is runs[0]
    assert await house.share(nights=3) is not runs[0]
    assert await house.share("bob", nights=2) is not runs[0]
    house.answer(runs[0])
    assert await house.share(nights=2) is not runs[0]


async def test_a_call_that_says_something_about_its_run_gets_its_own(house: House) -> None:
    house.plan = plan_of(coalesce=True, cache_ttl=60.0)
    run = await house.share(nights=2)
    for more in ({"run_id": "mine"}, {"timeout": 5.0}, {"may_share": False}):
        request = CallRequest("quote", {"nights": 2}, caller="ann", **({"may_share": True} | more))  # type: ignore[arg-type]
        assert await house.by_content(request) is not run


async def test_a_value_is_cached_for_its_time_and_a_failure_never(house: House) -> None:
    house.plan = plan_of(cache_ttl=60.0)
    failed = await house.share(nights=2)
    house.answer(failed, OutcomeKind.FAILED)
    good = await house.share(nights=2)
    assert good is not failed
    assert await house.share(nights=2) is not good  # in flight, and not coalesced
    house.answer(good)
    house.now += 59
    assert await house.share(nights=2) is good
    house.now += 1
    assert await house.share(nights=2) is not good


async def test_a_cached_run_that_is_gone_is_run_again(house: House) -> None:
    house.plan = plan_of(cache_ttl=60.0, shares_with_everyone=True)
    run = await house.share(nights=2)
    house.answer(run)
    assert await house.share("bob", nights=2) is run
    del house.runs[run.key]
    assert await house.share(nights=2) is not run


async def test_a_call_is_told_that_its_run_was_begun_by_another(house: House) -> None:
    first = await house.call(nights=2)
    house.answer(first)
    await house.call(nights=2)
    await asyncio.gather(*(house.call(key="at once") for _ in range(3)))
    assert house.shared == [None, "key", None, "key", "key"]
    house.shared.clear()
    house.plan = plan_of(coalesce=True, cache_ttl=60.0)
    begun, *_ = await asyncio.gather(*(house.share(nights=2) for _ in range(3)))
    await house.share(nights=2)
    house.answer(begun)
    await house.share(nights=2)
    assert house.shared == [None, "coalesced", "coalesced", "coalesced", "cache"]


def test_equal_bodies() -> None:
    assert canonical({"b": [1.0, {"y": 1, "x": "ü"}], "a": None}) == '{"a":null,"b":[1,{"x":"ü","y":1}]}'
    assert canonical({"a": 1}) != canonical({"a": True})
    assert canonical({"a": 1}) != canonical({"a": "1"})
    assert body_of(CallRequest("d", results=("a", "b"))) == body_of(CallRequest("d", results=("b", "a")))


async def test_a_key_that_another_server_gives_a_run_at_the_same_moment_is_that_run(house: House) -> None:
    """The journal refuses the second run, and then knows the first."""

    async def begun_elsewhere() -> Run:
        raise_after = await house.begin(request)()
        raise RunExists(dag_id=raise_after.key.dag_id, run_id="another")

    request = CallRequest("quote", {"city": "Bern"}, caller="ann", idempotency_key="k")
    run, shared = await house.sharing.by_key(request, begun_elsewhere)
    assert (run.key.run_id, shared) == ("run-1", "key")


async def test_an_id_that_is_taken_by_a_run_without_the_key_is_refused(house: House) -> None:
    async def refused() -> Run:
        raise RunExists(dag_id="quote", run_id="mine")

    with pytest.raises(RunExists):
        await house.sharing.by_key(CallRequest("quote", {}, run_id="mine", idempotency_key="k"), refused)
