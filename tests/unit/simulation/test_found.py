"""What the simulation has found, each as a history of its own."""

import asyncio
from collections.abc import Awaitable, Callable
from dataclasses import replace
from typing import Any

import pytest

from dagcall.coordinator.api import CallRequest
from dagcall.coordinator.sharing import Sharing
from dagcall.errors import InvalidParams
from dagcall.model.ids import RunKey
from dagcall.model.plan import DagPlan, Retry, TaskPlan
from dagcall.testing.promises import Told
from dagcall.workers.frames import Ended, Suspended

from .callers import Caller, Habits
from .history import judge, play
from .simulated_journal import Fate
from .world import Faults, World


def plan_of(dag_id: str, *tasks: TaskPlan) -> DagPlan:
    return DagPlan(dag_id, "v1", f"/dags/{dag_id}.py", f"{dag_id}.py", tasks)


def world_of(*plans: DagPlan, workers: int = 4) -> World:
    """Nothing goes wrong there by itself."""
    world = World(1, Faults(until=5.0))
    world.plans = {plan.dag_id: plan for plan in plans}
    world.workers, world.admitted, world.kept_runs = workers, 100, 500
    world.callers = [
        Caller(world, CallRequest(plan.dag_id, {"n": 1}, caller="ann", idempotency_key=f"k{number}"), Habits())
        for plan in plans
        for number in range(3)
    ]
    return world


def told(world: World) -> list[str]:
    return sorted(one.what for one in world.told if one.what != "accepted")


def in_loop(test: Callable[[], Awaitable[None]]) -> Callable[[], None]:
    return lambda: asyncio.run(test())  # type: ignore[arg-type]


class NoRuns:
    async def list_heads(self, query: Any) -> tuple[list[Any], int]:
        return [], 0


@in_loop
async def test_who_calls_while_the_first_call_of_a_key_is_refused_asks_once() -> None:
    """Between the end of a refused beginning and its callbacks: asking again there was asking for ever."""
    request = CallRequest("d", idempotency_key="k")
    sharing = Sharing(NoRuns(), NoRuns().list_heads, lambda: 0.0)  # type: ignore[arg-type]
    refusals: list[str] = []
    second: list[asyncio.Task[None]] = []

    async def refuse() -> Any:
        refusals.append("refused")
        if len(refusals) == 1:  # the next to run after this one has ended
            second.append(asyncio.create_task(call()))
        raise InvalidParams(dag_id="d")

    async def call() -> None:
        try:
            await sharing.by_key(request, refuse)
        except InvalidParams:
            return

    await call()
    await second[0]
    assert len(refusals) == 2


def test_two_files_share_the_only_worker() -> None:
    """Each new worker made room for the other file's before it had done anything."""
    world = world_of(plan_of("a", TaskPlan("t", "Op")), plan_of("b", TaskPlan("t", "Op")), workers=1)
    play(world)
    assert judge(world) == []
    assert told(world) == ["success"] * 6


def test_a_stopped_task_that_defers_itself_all_the_same_takes_no_slot() -> None:
    """A task is cancelled; before its process ends it says that it is deferred."""
    task = TaskPlan("t", "Op", max_active_tis_per_dag=1)
    world = world_of(plan_of("a", task))
    end = world._end

    def deferred(code: Any, start: Any, task: TaskPlan) -> Ended:
        ended = end(code, start, task)
        if start.run_id != "manual__1":
            return ended
        for caller in world.callers:
            world.later(0.1, lambda caller=caller: caller.cancel() if caller.run == ("a", "manual__1") else None)
        suspended = Suspended("resume", b"", None, "t.T", b"")
        return Ended(ended.attempt, ended.epoch, "deferred", None, None, None, [], None, [], None, b"", suspended)

    world._end = deferred  # type: ignore[method-assign]
    say = world._say
    world._say = lambda process, about, at, frame: say(process, about, at + 1.0, frame)  # type: ignore[method-assign]
    world.terminated = lambda process: None  # type: ignore[method-assign]
    play(world)
    assert judge(world) == []
    assert told(world) == ["cancelled", "success", "success"]


@pytest.mark.parametrize("tasks", ["t", "tuv"])
@pytest.mark.parametrize("fate", [Fate.LOST, Fate.KEPT_UNTOLD])
def test_a_run_that_the_journal_failed_goes_on_here(tasks: str, fate: Fate) -> None:
    """A group of writes of a running server fails: nobody drove the run until the next restart. And the group after it is
    slow, in which there is what the driver had written before it knew, or, when a task that waited for the slot of another
    got it from the driver that stopped, even after: what was found in the journal was not all yet."""
    for failing in range(3, 16):
        plan = plan_of("a", *(TaskPlan(task, "Op", retry=Retry(1, 0.1), is_result=task == "t") for task in tasks))
        world = world_of(replace(plan, max_active_tasks=1))
        del world.callers[1:]
        groups: list[Fate] = []

        def decide(groups: list[Fate] = groups, failing: int = failing) -> Fate:
            groups.append(fate if len(groups) == failing else Fate.KEPT)
            return groups[-1]

        def time(groups: list[Fate] = groups, failing: int = failing) -> float:
            return 1.0 if len(groups) == failing + 1 else 0.001

        world.fate, world.write_time = decide, time  # type: ignore[method-assign]
        play(world)
        assert judge(world) == [], f"group {failing}"
        assert not world.graves
        assert told(world) == ["success"], f"group {failing}"


def test_a_run_id_whose_first_commit_was_lost_is_begun_again_and_driven_once() -> None:
    """While the server looked whether the run had been kept, its caller came back with the same id: what was found then
    was the new run, which got a second driver."""
    world = world_of(plan_of("a", TaskPlan("t", "Op", is_result=True)))
    del world.callers[1:]
    world.callers[0].request = replace(world.callers[0].request, run_id="mine")
    fates, pauses, say = [Fate.LOST], [3.0], world._say
    world.fate = lambda: fates.pop() if fates and world.storage.plans else Fate.KEPT  # type: ignore[method-assign]
    world.read_time = lambda: 0.0 if fates or not pauses else pauses.pop()  # type: ignore[method-assign]
    world._say = lambda process, about, at, frame: say(process, about, at + 5.0, frame)  # type: ignore[method-assign]
    play(world)
    assert judge(world) == []
    assert told(world) == ["success"]


def test_what_a_failed_commit_kept_is_found() -> None:
    """The acceptance was kept though an error came back: the caller who repeats the call gets that run."""
    world = world_of(plan_of("a", TaskPlan("t", "Op", retry=Retry(1, 0.1), is_result=True)))
    del world.callers[1:]
    accepted: list[RunKey] = []
    written = world.written

    def note(batch: Any) -> None:
        written(batch)
        if batch.records and batch.records[0].id == 1:
            accepted.append(batch.head.key)

    world.written = note  # type: ignore[method-assign]
    world.fate = lambda: Fate.KEPT_UNTOLD if world.storage.plans and not accepted else Fate.KEPT  # type: ignore[method-assign]
    play(world)
    assert judge(world) == []
    assert [run.run_id for run in accepted] == ["manual__1"]
    assert world.told[-1] == Told("a", "manual__1", "success", world.told[-1].value, "ann", "k0")
