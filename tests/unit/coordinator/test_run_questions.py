"""What running code may ask about runs, answered from a real journal and real machines."""

import asyncio
import json
from collections.abc import Awaitable, Callable

import pytest

from dagcall.coordinator.run_questions import Refused

from .here import BAD, OK, Here


def asking(test: Callable[[Here], Awaitable[None]]) -> None:
    async def main() -> None:
        here = Here()
        await here.journal.open()
        await here.add("monday", 10.0, OK, OK)
        await here.add("tuesday", 20.0, OK, BAD)
        await here.add("undated", None, OK)
        await test(here)
        await here.journal.close()

    asyncio.run(main())


def test_counts_of_runs() -> None:
    async def test(here: Here) -> None:
        count = here.ask.dr_count
        assert await count("d", None, None, None) == 3
        assert await count("d", [], [], []) == 3
        assert await count("d", [10.0, 20.0, 30.0], None, None) == 2
        assert await count("d", [10.0, 20.0], None, ["success", "skipped"]) == 1
        assert await count("d", [10.0], None, ["skipped"]) == 0
        assert await count("d", None, ["undated", "nobody"], ["running"]) == 1
        assert await count("other", None, None, None) == 0

    asking(test)


def test_counts_of_task_instances_look_at_the_runs_that_match_only() -> None:
    async def test(here: Here) -> None:
        count = here.ask.ti_count
        assert await count("d", None, None, None, [20.0], None, None) == 2
        assert here.looked_at == ["tuesday"]
        assert await count("d", None, ["first"], None, [10.0, 20.0], None, ["success"]) == 2
        assert await count("d", None, None, None, None, ["undated", "nobody"], ["queued"]) == 1
        assert await count("d", None, None, "g", None, None, ["success"]) == 4
        assert await count("d", None, ["first"], "g.inner", None, None, None) == 0
        assert await count("d", 0, None, None, None, None, None) == 0
        assert await count("d", -1, None, None, None, None, None) == 6

    asking(test)


def test_states_of_tasks() -> None:
    async def test(here: Here) -> None:
        states = here.ask.task_states
        assert await states("d", None, None, None, [10.0, 20.0], None) == {
            "monday": {"first": "success", "g.inner.second": "success"},
            "tuesday": {"first": "success", "g.inner.second": "failed"},
        }
        assert await states("d", None, None, "g.inner", None, ["undated"]) == {"undated": {"g.inner.second": "queued"}}
        assert await states("d", None, ["first"], "g.inner", None, ["tuesday"]) == {
            "tuesday": {"first": "success", "g.inner.second": "failed"}
        }
        assert await states("d", None, ["nobody"], None, None, None) == {}

    asking(test)


@pytest.mark.parametrize(("dag_id", "group"), [("d", "nobody"), ("other", "g")])
def test_a_group_that_is_not_there_is_refused(dag_id: str, group: str) -> None:
    async def test(here: Here) -> None:
        with pytest.raises(Refused) as refused:
            await here.ask.task_states(dag_id, None, None, group, None, None)
        assert refused.value.status == 404

    asking(test)


def test_a_run() -> None:
    async def test(here: Here) -> None:
        assert await here.ask.dag_run_state("d", "tuesday") == "failed"
        found = await here.ask.dag_run("d", "monday")
        assert (found["logical_date"], found["run_after"], found["state"]) == (10.0, 0.5, "success")
        assert json.loads(found["conf"]) == {"n": 1}
        for question in (here.ask.dag_run, here.ask.dag_run_state):
            with pytest.raises(Refused, match="run_id 'nobody' was not found") as refused:
                await question("d", "nobody")
            assert refused.value.as_answer()["refused"][:2] == [404, "not_found"]

    asking(test)


def test_previous_runs_are_those_of_earlier_logical_dates() -> None:
    async def test(here: Here) -> None:
        async def previous(before: float, state: str | None = None) -> str | None:
            found = await here.ask.previous_run("d", before, state)
            return None if found is None else str(found["run_id"])

        assert await previous(30.0) == "tuesday"
        assert await previous(20.0) == "monday"
        assert await previous(10.0) is None
        assert await previous(30.0, "success") == "monday"
        assert await previous(30.0, "running") is None

    asking(test)


def test_previous_task_instances() -> None:
    async def test(here: Here) -> None:
        async def previous(before: float | None, map_index: int = -1, state: str | None = None) -> str | None:
            found = await here.ask.previous_ti("d", "g.inner.second", before, map_index, state)
            return None if found is None else f"{found['run_id']} {found['state']} {found['duration']}"

        assert await previous(None) == "tuesday failed 1.0"
        assert await previous(20.0) == "monday success 1.0"
        assert await previous(None, state="success") == "monday success 1.0"
        assert await previous(None, state="queued") == "undated queued None"
        assert await previous(10.0) is None
        assert await previous(None, map_index=0) is None

    asking(test)


def test_breadcrumbs_are_of_what_has_ended() -> None:
    async def test(here: Here) -> None:
        assert await here.ask.task_breadcrumbs("d", "undated") == [
            {"task_id": "first", "map_index": -1, "state": "success", "operator": "Python", "duration": 1.0}
        ]
        assert [one["operator"] for one in await here.ask.task_breadcrumbs("d", "tuesday")] == ["Python", "Bash"]
        assert await here.ask.task_breadcrumbs("d", "nobody") == []

    asking(test)


def test_a_dag() -> None:
    async def test(here: Here) -> None:
        found = await here.ask.dag("d")
        assert (found["is_paused"], found["owners"], found["tags"]) == (False, "ann, bea", ["a", "z"])
        with pytest.raises(Refused, match="`other` was not found"):
            await here.ask.dag("other")

    asking(test)


def test_more_runs_than_a_page(monkeypatch: pytest.MonkeyPatch) -> None:
    async def test(here: Here) -> None:
        monkeypatch.setattr("dagcall.coordinator.run_questions._PAGE", 2)
        assert await here.ask.ti_count("d", None, ["first"], None, None, None, None) == 3
        assert here.looked_at == ["monday", "tuesday", "undated"]

    asking(test)
