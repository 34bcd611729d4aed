"""Tries that wait for runs here: told as soon as it is so, and never by asking again and again."""

import asyncio
from collections.abc import Awaitable, Callable
from typing import Any

import msgspec
import pytest

from dagcall.coordinator.awaits import Awaited, Awaits
from dagcall.coordinator.run import Run
from dagcall.coordinator.run_waiter import DAG_STATE, WORKFLOW, RunWaiter
from dagcall.model.commands import Await
from dagcall.model.events import EndKind, Resumed, ResumeHow, Suspension
from dagcall.model.ids import RunKey

from .here import BAD, OK, Here


class Waiting:
    """A waiter over the runs of `here`, and what it has said."""

    def __init__(self) -> None:
        self.here = Here()
        self.waiter = RunWaiter(self.here.ask)
        self.said: list[Resumed] = []

    def begin(self, trigger: str, kind: EndKind = EndKind.DEFERRED, **kwargs: Any) -> Awaited:
        suspension = Suspension("go_on", b"", None, trigger, msgspec.msgpack.encode(kwargs))
        command = Await(7, "waits", -1, 1, kind, suspension, 7)
        run: Any = Run(RunKey("p", "r"), None, None, _NoHead())  # type: ignore[arg-type]
        awaited = Awaited(run, None, command, "", self.said.append)  # type: ignore[arg-type]
        Awaits(_Clock(), [self.waiter]).start(awaited)
        return awaited

    async def settle(self) -> None:
        """Until nothing is under way: the journal in memory answers at once."""
        for _ in range(20):
            await asyncio.sleep(0)

    async def end(self, run: Run, kind: EndKind) -> None:
        await self.here.end(run, kind)
        self.waiter.published(run)
        await self.settle()

    @property
    def events(self) -> list[Any]:
        return [msgspec.msgpack.decode(one.payload) if one.payload else one.how.value for one in self.said]


class _NoHead:
    queued_at = 0.0


class _Clock:
    def now(self) -> float:
        return 0.0

    def new_run_id(self, run_after: float) -> str:
        raise NotImplementedError


def waiting(test: Callable[[Waiting], Awaitable[None]]) -> None:
    async def main() -> None:
        case = Waiting()
        await case.here.journal.open()
        await test(case)

    asyncio.run(main())


def dag_state(case: Waiting, *run_ids: str, states: tuple[str, ...] = ("success", "failed")) -> Awaited:
    return case.begin(
        DAG_STATE, dag_id="d", states=list(states), run_ids=list(run_ids), poll_interval=60, execution_dates=None
    )


def test_the_end_of_a_run() -> None:
    async def test(case: Waiting) -> None:
        run = await case.here.add("r", 5.0)
        dag_state(case, "r")
        await case.settle()
        await case.end(run, OK)
        assert case.said == []
        await case.end(run, OK)
        assert [one.how for one in case.said] == [ResumeHow.EVENT]
        kwargs = {
            "dag_id": "d",
            "states": ["success", "failed"],
            "run_ids": ["r"],
            "poll_interval": 60,
            "execution_dates": None,
            "r": "success",
        }
        assert case.events == [{"__classname__": "builtins.tuple", "__version__": 1, "__data__": [DAG_STATE, kwargs]}]
        case.waiter.published(run)
        await case.settle()
        assert len(case.said) == 1

    waiting(test)


def test_a_run_that_has_ended_already() -> None:
    async def test(case: Waiting) -> None:
        await case.here.add("r", 5.0, BAD)
        dag_state(case, "r")
        await case.settle()
        assert case.events[0]["__data__"][1]["r"] == "failed"

    waiting(test)


def test_states_that_are_not_waited_for() -> None:
    async def test(case: Waiting) -> None:
        run = await case.here.add("r", 5.0)
        dag_state(case, "r", states=("failed",))
        await case.end(run, OK)
        await case.end(run, OK)
        assert case.said == []

    waiting(test)


def test_all_of_several_runs() -> None:
    async def test(case: Waiting) -> None:
        first, second = await case.here.add("1"), await case.here.add("2")
        dag_state(case, "1", "2")
        for run in (first, second, second, first):
            assert case.said == []
            await case.end(run, OK)
        assert len(case.said) == 1

    waiting(test)


def test_a_trigger_without_run_ids_is_not_taken() -> None:
    async def test(case: Waiting) -> None:
        case.begin(DAG_STATE, dag_id="d", states=["success"], run_ids=None, execution_dates=[])
        assert [one.how for one in case.said] == [ResumeHow.FAILED]

    waiting(test)


@pytest.mark.parametrize(
    ("wanted", "ends", "event"),
    [
        ({"allowed_states": ["success"]}, (OK, OK), {"status": "success"}),
        ({"allowed_states": ["success"], "failed_states": ["failed"]}, (OK, BAD), {"status": "failed"}),
        ({"allowed_states": ["success"], "skipped_states": ["failed"]}, (OK, BAD), {"status": "skipped"}),
        ({"allowed_states": ["success"]}, (OK, BAD), None),
        ({"allowed_states": ["success"], "external_task_ids": ["first"]}, (OK,), {"status": "success"}),
        (
            {"allowed_states": ["success"], "external_task_ids": ["first", "g.inner.second"]},
            (OK,),
            None,
        ),
        ({"allowed_states": ["success"], "external_task_group_id": "g.inner"}, (OK, OK), {"status": "success"}),
        ({"allowed_states": ["success"], "external_task_group_id": "g"}, (OK,), None),
    ],
)
@pytest.mark.parametrize("already", [False, True])
def test_what_a_sensor_waits_for(
    wanted: dict[str, Any], ends: tuple[EndKind, ...], event: dict[str, str] | None, already: bool
) -> None:
    async def test(case: Waiting) -> None:
        run = None if not already else await case.here.add("r", 5.0, *ends)
        dates = [{"__classname__": "datetime.datetime", "__version__": 2, "__data__": {"timestamp": 5.0, "tz": None}}]
        case.begin(WORKFLOW, external_dag_id="d", logical_dates=dates, run_ids=None, **wanted)
        await case.settle()
        if run is None:  # it comes later
            run = await case.here.add("r", 5.0)
            case.waiter.published(run)
            for kind in ends:
                await case.end(run, kind)
        assert case.events == ([] if event is None else [event])

    waiting(test)


def test_runs_of_other_dates_are_not_looked_at() -> None:
    async def test(case: Waiting) -> None:
        dates = [{"__data__": {"timestamp": 5.0}}]
        case.begin(
            WORKFLOW,
            external_dag_id="d",
            logical_dates=dates,
            external_task_ids=["first"],
            allowed_states=["success"],
        )
        await case.settle()
        other = await case.here.add("other", 6.0)
        await case.end(other, OK)
        assert case.here.looked_at == []

    waiting(test)


def test_a_group_that_is_not_there_fails_the_task() -> None:
    async def test(case: Waiting) -> None:
        case.begin(
            WORKFLOW, external_dag_id="d", run_ids=["r"], external_task_group_id="nobody", allowed_states=["success"]
        )
        await case.settle()
        assert [one.how for one in case.said] == [ResumeHow.FAILED]
        assert "Task group nobody not found" in case.events[0]["error"]

    waiting(test)


def test_a_rescheduled_sensor_looks_again_before_its_date() -> None:
    async def test(case: Waiting) -> None:
        case.begin(
            WORKFLOW,
            EndKind.RESCHEDULED,
            external_dag_id="d",
            logical_dates=[{"__data__": {"timestamp": 5.0}}],
            allowed_states=["success"],
        )
        await case.settle()
        assert case.said == []
        run = await case.here.add("r", 5.0)
        await case.end(run, OK)
        await case.end(run, OK)
        assert [(one.how, one.payload) for one in case.said] == [(ResumeHow.DUE, b"")]

    waiting(test)


def test_two_tasks_of_three_instances_are_not_one_and_a_half_times_there() -> None:
    """The trigger rounds down, the sensor does not: a sensor must not be sent to look in vain again and again."""

    async def test(case: Waiting) -> None:
        wanted = {
            "external_dag_id": "d",
            "run_ids": ["r"],
            "external_task_ids": ["first", "nobody", "nobody else"],
            "allowed_states": ["success"],
            "failed_states": ["failed"],
        }
        run = await case.here.add("r", 5.0)
        case.begin(WORKFLOW, EndKind.RESCHEDULED, **wanted)
        case.begin(WORKFLOW, EndKind.DEFERRED, **wanted)
        await case.end(run, BAD)
        assert [one.how for one in case.said] == [ResumeHow.DUE]

    waiting(test)


def test_nothing_is_said_after_a_stop() -> None:
    async def test(case: Waiting) -> None:
        run = await case.here.add("r", 5.0, OK)
        awaited = dag_state(case, "r")
        awaited.stop(killed=True)
        await case.end(run, OK)
        assert case.said == []

    waiting(test)
