"""What tasks ask of people: asked, answered, timed out, over a restart."""

import asyncio
import json
from collections.abc import Awaitable, Callable
from typing import Any

import msgspec
import pytest

from dagcall.coordinator.api import AlreadyAnswered
from dagcall.coordinator.awaits import Awaited, Awaits
from dagcall.coordinator.inputs import Inputs, forgetting
from dagcall.coordinator.run_questions import Refused
from dagcall.errors import BadRequest
from dagcall.journal.memory import MemoryJournal
from dagcall.model.commands import Await
from dagcall.model.events import EndKind, Resumed, ResumeHow, Suspension
from dagcall.model.ids import RunKey, TaskKey
from dagcall.model.inputs import InputRequest, User

RUN = RunKey("d", "r")
TASK = TaskKey("ask")
ANN = User("1", "ann")


class Case:
    def __init__(self, journal: MemoryJournal) -> None:
        self.now = 100.0
        self.journal = journal
        self.inputs = Inputs(journal.store, lambda: self.now)
        self.said: list[Resumed] = []

    async def ask(self, try_number: int = 1, task: TaskKey = TASK, **more: Any) -> InputRequest:
        asked = {"ti_id": f"id{try_number}", "options": ["yes", "no"], "subject": "Well?", "body": None, **more}
        await self.inputs.ask(RUN, task.task_id, task.map_index, try_number, json.dumps(asked).encode())
        found = await self.inputs.find(RUN, task)
        assert found is not None
        return found

    async def wait(self, try_number: int = 1) -> Awaited:
        command = Await(7, "ask", -1, try_number, EndKind.AWAITING_INPUT, Suspension("execute_complete"), 7)
        run: Any = type("Run", (), {"key": RUN})
        awaited = Awaited(run, None, command, "", self.said.append)  # type: ignore[arg-type]
        Awaits(self, [self.inputs]).start(awaited)  # type: ignore[arg-type]
        await settle()
        return awaited

    @property
    def events(self) -> list[Any]:
        assert {one.how for one in self.said} <= {ResumeHow.EVENT}
        return [msgspec.msgpack.decode(one.payload) for one in self.said]


async def settle() -> None:
    for _ in range(20):
        await asyncio.sleep(0)


def asking(test: Callable[[Case], Awaitable[None]]) -> None:
    async def main() -> None:
        journal = MemoryJournal()
        await journal.open()
        await test(Case(journal))

    asyncio.run(main())


def event(chosen: list[str], at: float, by: User | None, **params: Any) -> dict[str, Any]:
    zone = ["UTC", "pendulum.tz.timezone.FixedTimezone", 1, True]
    moment = {"timestamp": at, "tz": zone}
    return {
        "chosen_options": chosen,
        "params_input": params,
        "responded_at": {"__classname__": "datetime.datetime", "__version__": 2, "__data__": moment},
        "responded_by_user": None if by is None else {"id": by.id, "name": by.name},
        "timedout": by is None,
    }


def test_an_answer_resumes_the_task() -> None:
    async def test(case: Case) -> None:
        asked = await case.ask(multiple=True, defaults=None, assigned_users=[{"id": "1", "name": "ann"}])
        assert (asked.ti_id, asked.created_at, asked.assigned_users, asked.is_answered) == ("id1", 100.0, [ANN], False)
        await case.wait()
        assert case.said == []
        case.now = 105.0
        answered = await case.inputs.answer(asked, ["no", "yes"], {"n": [1, {"a": None}]}, ANN)
        assert (answered.responded_at, answered.responded_by) == (105.0, ANN)
        assert case.events == [event(["no", "yes"], 105.0, ANN, n=[1, {"a": None}])]
        assert await case.inputs.find(RUN, TASK) == answered
        with pytest.raises(AlreadyAnswered):
            await case.inputs.answer(asked, ["yes"], {}, ANN)

    asking(test)


def test_an_answer_before_the_task_waits() -> None:
    async def test(case: Case) -> None:
        await case.inputs.answer(await case.ask(), ["yes"], {}, ANN)
        await case.wait()
        assert case.events == [event(["yes"], 100.0, ANN)]

    asking(test)


def test_an_answer_survives_a_restart_between_it_and_the_resumption() -> None:
    async def test(case: Case) -> None:
        await case.inputs.answer(await case.ask(), ["yes"], {}, ANN)
        after = Case(case.journal)
        await after.wait()
        assert after.events == [event(["yes"], 100.0, ANN)]

    asking(test)


def test_in_time_the_defaults_answer() -> None:
    async def test(case: Case) -> None:
        params = {"plain": 3, "full": {"value": "v", "description": None, "schema": {}}}
        await case.ask(defaults=["no"], params=params)
        awaited = await case.wait()
        case.now = 160.0
        awaited.timed_out()
        await settle()
        assert case.events == [event(["no"], 160.0, None, plain=3, full="v")]
        found = await case.inputs.find(RUN, TASK)
        assert found is not None
        assert (found.is_answered, found.responded_by, found.chosen_options) == (True, None, ["no"])

    asking(test)


def test_without_defaults_the_operator_is_told_that_nobody_answered() -> None:
    async def test(case: Case) -> None:
        await case.ask()
        awaited = await case.wait()
        awaited.timed_out()
        await settle()
        assert [one["error_type"] for one in case.events] == ["timeout"]
        found = await case.inputs.find(RUN, TASK)
        assert found is not None
        assert not found.is_answered

    asking(test)


def test_an_answer_in_the_last_moment_counts() -> None:
    async def test(case: Case) -> None:
        asked = await case.ask(defaults=["no"])
        awaited = await case.wait()
        answering = asyncio.ensure_future(case.inputs.answer(asked, ["yes"], {}, ANN))
        await asyncio.sleep(0)
        awaited.timed_out()
        await answering
        await settle()
        assert [one["chosen_options"] for one in case.events] == [["yes"]]

    asking(test)


def test_a_further_try_asks_anew() -> None:
    async def test(case: Case) -> None:
        await case.inputs.answer(await case.ask(), ["yes"], {}, ANN)
        second = await case.ask(2, subject="And now?")
        assert (second.subject, second.is_answered) == ("And now?", False)
        await case.wait(2)
        assert case.said == []
        assert [one.subject for one in await case.inputs.all()] == ["And now?"]
        await case.inputs.answer(second, ["no"], {}, ANN)
        assert [one["chosen_options"] for one in case.events] == [["no"]]

    asking(test)


def test_lists() -> None:
    async def test(case: Case) -> None:
        await case.ask()
        await case.ask(task=TaskKey("ask", 1))
        await case.inputs.ask(RunKey("d", "r2"), "ask", -1, 1, b'{"ti_id": "x", "options": ["a"], "subject": "s"}')
        await case.inputs.ask(RunKey("d2", "r"), "ask", -1, 1, b'{"ti_id": "y", "options": ["a"], "subject": "s"}')
        assert [(*one.run, one.map_index) for one in await case.inputs.all()] == [
            ("d", "r", -1),
            ("d", "r", 1),
            ("d", "r2", -1),
            ("d2", "r", -1),
        ]
        assert len(await case.inputs.all("d")) == 3
        assert len(await case.inputs.all("d", "r")) == 2
        assert len(await case.inputs.all(None, "r")) == 3
        assert await case.inputs.find(RUN, TaskKey("other")) is None

    asking(test)


@pytest.mark.parametrize(
    ("chosen", "params_input", "sentence"),
    [
        (["maybe"], {}, r"Invalid options \['maybe'\]; allowed options are \['no', 'yes'\]"),
        (["yes", "no"], {}, "accepts only a single option"),
        (["yes"], {"a": [{"__classname__": "os.system"}]}, "stand for objects"),
    ],
)
def test_answers_that_do_not_fit(chosen: list[str], params_input: dict[str, Any], sentence: str) -> None:
    async def test(case: Case) -> None:
        asked = await case.ask()
        with pytest.raises(BadRequest, match=sentence):
            await case.inputs.answer(asked, chosen, params_input, ANN)
        found = await case.inputs.find(RUN, TASK)
        assert found is not None
        assert not found.is_answered

    asking(test)


def test_a_task_that_was_cancelled_is_not_resumed() -> None:
    async def test(case: Case) -> None:
        asked = await case.ask()
        awaited = await case.wait()
        awaited.stop(killed=True)
        await case.inputs.answer(asked, ["yes"], {}, ANN)
        assert case.said == []

    asking(test)


def test_a_trigger_looks_for_the_answer_and_may_give_it() -> None:
    async def test(case: Case) -> None:
        with pytest.raises(Refused) as refused:
            await case.inputs.response(RUN, "ask", -1, 1)
        assert refused.value.status == 404
        await case.ask()
        assert (await case.inputs.response(RUN, "ask", -1, 1))["response_received"] is False
        answered = await case.inputs.settle(RUN, "ask", -1, 1, ["no"], b'{"n": 1}')
        assert answered == {
            "response_received": True,
            "responded_by_user": None,
            "responded_at": 100.0,
            "chosen_options": ["no"],
            "params_input": {"n": 1},
        }
        with pytest.raises(Refused) as refused:
            await case.inputs.settle(RUN, "ask", -1, 1, ["yes"], b"{}")
        assert refused.value.status == 409

    asking(test)


def test_what_a_forgotten_run_asked_is_forgotten() -> None:
    async def test(case: Case) -> None:
        await case.ask()
        await case.inputs.ask(RunKey("d", "r2"), "ask", -1, 1, b'{"ti_id": "x", "options": ["a"], "subject": "s"}')
        await case.journal.store.write(forgetting(RUN))
        assert [one.run_id for one in await case.inputs.all()] == ["r2"]

    asking(test)
