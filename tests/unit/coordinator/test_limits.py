"""Limits over many runs, of drivers by hand."""

import asyncio
from collections import Counter
from collections.abc import Callable, Iterable
from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st

from dagcall.coordinator.run import Run
from dagcall.model.events import CancelRequested, EndKind
from dagcall.model.plan import DagPlan, Mapping, MapSource, Retry, TaskPlan
from dagcall.model.pool import Pool
from dagcall.model.states import TaskState

from .by_hand import SUSPENDING, Server, in_loop, plan_of, settle


def told(run: Run) -> list[str]:
    return [f"{r.data['task_id']} {r.data['state']}" if r.kind == "task" else r.kind for r in run.records]


def wide(width: int, **more: Any) -> TaskPlan:
    return TaskPlan("wide", "Op", mapping=Mapping((MapSource("literal", length=width),)), **more)


@in_loop
async def test_a_pool_is_shared_by_all_dags() -> None:
    server = await Server(Pool("p", 1), at_once=True).start()
    first = await server.call(plan_of(TaskPlan("t", "Op", pool="p")))
    second = await server.call(plan_of(TaskPlan("t", "Op", pool="p")))
    third = await server.call(plan_of(TaskPlan("t", "Op")))
    assert [told(run)[-1] for run in (first, second, third)] == ["t running", "t scheduled", "t running"]
    assert second.records[-1].data["waits_for"] == "pool 'p': 1 of 1 slots are taken, 1 needed"
    await server.end(server.started[0])
    assert told(first)[-1] == "end"
    assert told(second) == ["accepted", "t scheduled", "t queued", "t running"]
    await server.end(server.started[1])
    assert told(second)[-1] == "end"


@in_loop
async def test_a_task_that_never_waits_says_and_costs_nothing_more() -> None:
    """A chain through a pool with one slot: the end of one and the start of the next are still one commit."""
    server = await Server(Pool("p", 1), at_once=True).start()
    batches: list[int] = []
    append = server.journal.append

    def count(batch: Any, durability: str = "process") -> Any:
        batches.append(len(batch.records))
        return append(batch, durability)

    server.journal.append = count  # type: ignore[method-assign]
    run = await server.call(plan_of(TaskPlan("a", "Op", pool="p"), TaskPlan("b", "Op", ("a",), pool="p")))
    await server.end(server.started[0])
    await server.end(server.started[0])
    assert told(run) == ["accepted", "a running", "a success", "b running", "b success", "result", "end"]
    assert batches == [2, 2, 3]


@in_loop
async def test_the_next_of_the_same_run_shares_the_commit_of_the_end() -> None:
    server = await Server(at_once=True).start()
    run = await server.call(plan_of(wide(3), max_active_tasks=1))
    assert sorted(told(run)) == ["accepted", "wide running", "wide scheduled", "wide scheduled"]
    before = run.head.last_record
    await server.end(server.started[0])
    assert told(run)[before:] == ["wide success", "wide queued", "wide running"]
    assert len({record.time for record in run.records[before:]}) == 1


@in_loop
async def test_heavier_tasks_go_first_then_what_an_answer_waits_for() -> None:
    server = await Server(Pool("p", 1), at_once=True).start()
    await server.call(plan_of(TaskPlan("t", "Op", pool="p")))
    side = await server.call(plan_of(TaskPlan("r", "Op", is_result=True), TaskPlan("t", "Op", pool="p")))
    light = await server.call(plan_of(TaskPlan("t", "Op", pool="p")))
    heavy = await server.call(plan_of(TaskPlan("t", "Op", pool="p", effective_weight=2)))
    order = []
    for _ in range(3):
        await server.end(next(lease for lease in server.started if lease.job.task.pool == "p"))
        order += [lease.job.run for lease in server.started if lease.job.task.pool == "p"]
    assert order == [heavy.key, light.key, side.key]


@in_loop
async def test_slots_are_freed_by_loss_and_by_cancel_and_waiting_ends_with_a_cancel() -> None:
    server = await Server(Pool("p", 1), at_once=True).start()
    plan = plan_of(TaskPlan("t", "Op", pool="p"))
    runs = [await server.call(plan) for _ in range(4)]
    server.drivers[runs[1].key].feed(CancelRequested("me"))
    await settle()
    assert told(runs[1])[-4:] == ["cancel", "failure", "t skipped", "end"]
    await server.end(server.started[0], EndKind.LOST)
    assert told(runs[2])[-1] == "t running"
    server.drivers[runs[2].key].feed(CancelRequested("me"))
    await settle()
    assert told(runs[3])[-1] == "t running"
    await server.end(server.started[-1])
    assert not server.limits._slots._used


@in_loop
async def test_a_pool_that_is_taken_away_or_made_too_small_fails_who_waits_for_it() -> None:
    server = await Server(Pool("p", 2), Pool("q", 1), at_once=True).start()
    await server.call(plan_of(TaskPlan("t", "Op", pool="p", pool_slots=2)))
    big = await server.call(plan_of(TaskPlan("t", "Op", pool="p", pool_slots=2)))
    small = await server.call(plan_of(TaskPlan("t", "Op", pool="p")))
    server.set_pool(Pool("p", 1))
    await settle()
    assert big.outcome is not None
    assert big.outcome.failure is not None
    assert big.outcome.failure.error.type == "NeverScheduled"
    assert "it takes 2 slots, and pool 'p' has 1" in big.outcome.failure.error.message
    assert told(small)[-1] == "t scheduled"
    await server.end(server.started[0])
    assert told(small)[-1] == "t running"
    later = await server.call(plan_of(TaskPlan("a", "Op"), TaskPlan("b", "Op", ("a",), pool="q")))
    del server.pools["q"]
    server.limits.set(server.pools, None, server.drivers.values())
    await server.end(server.started[-1])
    assert later.outcome is not None
    assert later.outcome.failure is not None
    assert "there is no pool 'q'" in later.outcome.failure.error.message


@in_loop
async def test_a_bigger_pool_lets_those_go_on_that_wait() -> None:
    server = await Server(Pool("p", 1), at_once=True).start()
    runs = [await server.call(plan_of(TaskPlan("t", "Op", pool="p"))) for _ in range(3)]
    server.set_pool(Pool("p", 2))
    await settle()
    assert [told(run)[-1] for run in runs] == ["t running", "t running", "t scheduled"]
    server.set_pool(Pool("p", -1))
    await settle()
    assert told(runs[2])[-1] == "t running"


@in_loop
async def test_the_default_pool_counts_what_runs_already_when_it_begins_to_bind() -> None:
    server = await Server(at_once=True).start()
    first = await server.call(plan_of(TaskPlan("t", "Op")))
    server.set_pool(Pool("default_pool", 1))
    second = await server.call(plan_of(TaskPlan("t", "Op")))
    assert [told(run)[-1] for run in (first, second)] == ["t running", "t scheduled"]


@in_loop
async def test_after_a_restart_who_waited_waits_or_goes_on() -> None:
    server = await Server(Pool("p", 1), at_once=True).start()
    plan = plan_of(TaskPlan("t", "Op", pool="p", retry=Retry(0)))
    lost, *others = [await server.call(plan) for _ in range(3)]
    await server.restart()
    assert lost.key not in server.drivers
    assert sorted(server.states()) == ["r2 t running", "r3 t scheduled"]
    assert told(server.drivers[others[0].key].run)[-3:] == ["t scheduled", "t queued", "t running"]


@in_loop
async def test_a_deferred_task_gives_its_pool_slots_back_unless_the_pool_includes_deferred_ones() -> None:
    for include_deferred, next_state in ((False, "t running"), (True, "t scheduled")):
        server = await Server(Pool("p", 1, include_deferred=include_deferred), at_once=True).start()
        first = await server.call(plan_of(TaskPlan("t", "Op", pool="p")))
        second = await server.call(plan_of(TaskPlan("t", "Op", pool="p")))
        await server.end(server.started[0], EndKind.DEFERRED)
        assert (told(first)[-1], told(second)[-1]) == ("t deferred", next_state)
        await server.restart()
        assert [state for state in server.states() if "deferred" in state] == ["r1 t deferred"]
        assert any(next_state.split()[1] in state for state in server.states()) or not include_deferred
        await server.fire(server.waiter.awaited[0])
        for _ in range(2):
            if server.started:
                await server.end(server.started[0])
        assert not server.drivers
        assert not server.limits._slots._used


@in_loop
async def test_a_deferred_task_counts_for_its_own_limits() -> None:
    server = await Server(at_once=True).start()
    plan = plan_of(TaskPlan("t", "Op", max_active_tis_per_dag=1))
    first, second = await server.call(plan), await server.call(plan)
    await server.end(server.started[0], EndKind.DEFERRED)
    assert (told(first)[-1], told(second)[-1]) == ("t deferred", "t scheduled")
    await server.restart()
    assert sorted(server.states()) == ["r1 t deferred", "r2 t scheduled"]
    server.drivers[first.key].feed(CancelRequested("me"))
    await settle()
    assert server.states() == ["r2 t running"]


TASKS = st.builds(
    TaskPlan,
    task_id=st.just("t"),
    operator=st.just("Op"),
    pool=st.sampled_from(["default_pool", "p", "q"]),
    pool_slots=st.integers(1, 2),
    max_active_tis_per_dag=st.sampled_from([None, None, 1, 2]),
    max_active_tis_per_dagrun=st.sampled_from([None, None, 1, 2]),
    mapping=st.sampled_from([None, Mapping((MapSource("literal", length=3),))]),
    effective_weight=st.integers(1, 2),
    retry=st.sampled_from([Retry(0), Retry(1, delay=0.0)]),
)


@st.composite
def plans(draw: st.DrawFn) -> DagPlan:
    tasks: list[TaskPlan] = []
    for number in range(draw(st.integers(1, 3))):
        task = draw(TASKS)
        names = [one.task_id for one in tasks]
        upstream = draw(st.lists(st.sampled_from(names), max_size=1)) if names else []
        fields = {name: getattr(task, name) for name in task.__dataclass_fields__}
        tasks.append(TaskPlan(**{**fields, "task_id": f"t{number}", "upstream": tuple(upstream)}))
    dag_id = draw(st.sampled_from(["one", "two", "three"]))
    return DagPlan(
        dag_id, "1", "d.py", "d.py", tuple(tasks), max_active_tasks=draw(st.sampled_from([None, None, 1, 2]))
    )


@given(st.lists(plans(), min_size=2, max_size=3, unique_by=lambda plan: plan.dag_id), st.data(), st.booleans())
@settings(max_examples=60, deadline=None)
def test_whatever_happens_limits_hold_nobody_is_forgotten_and_all_is_freed(
    plans: list[DagPlan], data: st.DataObject, at_once: bool
) -> None:
    async def play() -> None:
        server = await Server(Pool("p", 2), Pool("q", 3), at_once=at_once).start()
        before: Counter[object] = Counter()
        for _ in range(data.draw(st.integers(5, 30))):
            before = server.used()
            await one_step(server, plans, data.draw)
            check(server, before)
        while server.drivers:
            await one_step(server, [], data.draw)
            check(server, server.used())
        assert not server.limits._slots._used
        assert not server.limits._slots.waiting()

    asyncio.run(play())


ENDS = [EndKind.SUCCESS, EndKind.SUCCESS, EndKind.RETRY, EndKind.LOST, *SUSPENDING]


async def one_step(server: Server, plans: Iterable[DagPlan], draw: Callable[[Any], Any]) -> None:
    """Anything that can happen next; without `plans` only what brings the runs to their ends."""
    choices: list[Any] = [("lease", job) for job in server.workers.waiting]
    choices += [("end", lease) for lease in server.started]
    choices += [("fire", awaited) for awaited in server.waiter.awaited]
    if plans:
        choices += [("call", plan) for plan in plans]
        choices += [("cancel", driver) for driver in server.drivers.values()]
        choices += [("restart", None), ("pool", Pool("p", 2)), ("pool", Pool("p", 4, include_deferred=True))]
    if not choices:
        await asyncio.sleep(0.001)  # a retry whose delay of nothing is over at the next turn of the loop
        return
    what, on = choices[draw(st.integers(0, len(choices) - 1))]
    match what:
        case "lease":
            server.workers.lease(on)
        case "end":
            await server.end(on, draw(st.sampled_from(ENDS)))
        case "fire":
            await server.fire(on)
        case "call":
            await server.call(on)
        case "cancel":
            on.feed(CancelRequested())
        case "restart":
            await server.restart()
        case "pool":
            server.set_pool(on)
    await settle()


def check(server: Server, before: Counter[object]) -> None:
    used = server.used()
    for driver in server.drivers.values():
        for ti in driver.run.machine.instances():
            for need in server.held(driver.run, ti):
                assert used[need.name] <= max(server.limit(need), before[need.name]), (need, server.states())
            needs = server.needs(driver.run, ti.task)
            if ti.state is TaskState.SCHEDULED:
                assert any(used[need.name] + need.slots > server.limit(need) for need in needs), (ti, server.states())
