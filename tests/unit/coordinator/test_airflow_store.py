"""What is remembered of an existing Airflow's Variables and Connections, for how long, and what never is."""

import asyncio
from collections.abc import Mapping
from typing import Any

import msgspec
import pytest

from dagcall.coordinator.airflow_store import AirflowConnections, AirflowVariables
from dagcall.errors import NotSupported, Unavailable
from dagcall.workers.base import AirflowRefused

pytestmark = pytest.mark.anyio


class Side:
    """`workers.base.AirflowSide`, over a dictionary."""

    def __init__(self) -> None:
        self.values: dict[str, str] = {}
        self.asked: list[str] = []
        self.error: Exception | None = None
        self.may_answer = asyncio.Event()
        self.may_answer.set()

    async def ask(self, what: str, args: Mapping[str, Any], answer: Any, **limits: Any) -> Any:
        self.asked.append(" ".join([what, *map(str, args.values())]))
        key = args.get("key", "")
        found: Any = self.values.get(key)
        await self.may_answer.wait()
        if self.error is not None:
            raise self.error
        match what.removeprefix("secrets."):
            case "variable":
                value: Any = None if found is None else [found, f"mark of {found}"]
            case "connection":
                value = [{"conn_id": args["conn_id"], "conn_type": "http", "port": 1}, "m"]
            case "set_variable":
                value = None
                self.values[key] = args["value"]
            case "delete_variable":
                value = int(self.values.pop(key, None) is not None)
        return msgspec.convert(value, answer)


class World:
    def __init__(self) -> None:
        self.side = Side()
        self.time = 0.0
        self.changed: list[str] = []
        side: Any = self.side
        self.variables = AirflowVariables(side, lambda: self.time, 5.0, self.changed.append)
        self.connections = AirflowConnections(side, lambda: self.time, 5.0)

    async def value(self, key: str) -> str | None:
        found = await self.variables.find(key)
        return None if found is None else found.value


@pytest.fixture
def world() -> World:
    return World()


async def test_an_answer_is_remembered_for_its_time_absence_included(world: World) -> None:
    world.side.values["a"] = "1"
    assert [await world.value("a"), await world.value("a"), await world.value("b"), await world.value("b")] == [
        "1",
        "1",
        None,
        None,
    ]
    assert world.side.asked == ["secrets.variable a", "secrets.variable b"]
    world.side.values |= {"a": "2", "b": "3"}
    world.time = 4.9
    assert await world.value("a") == "1"
    world.time = 5.0
    assert [await world.value("a"), await world.value("b")] == ["2", "3"]


async def test_many_who_ask_at_once_wait_for_one_answer(world: World) -> None:
    world.side.values["a"] = "1"
    world.side.may_answer.clear()
    asking = [asyncio.ensure_future(world.value("a")) for _ in range(20)]
    await asyncio.sleep(0)
    asking[0].cancel()  # who gives up takes nobody with it
    await asyncio.sleep(0)
    world.side.may_answer.set()
    assert await asyncio.gather(*asking[1:]) == ["1"] * 19
    assert world.side.asked == ["secrets.variable a"]


async def test_an_error_names_what_was_asked_for_and_is_not_remembered(world: World) -> None:
    world.side.values["a"] = "1"
    world.side.error = Unavailable("The Airflow side is being restarted.")
    with pytest.raises(Unavailable, match="variable 'a': The Airflow side is being restarted"):
        await world.variables.find("a")
    world.side.error = Unavailable("Connection 'c' could not be read: no")
    with pytest.raises(Unavailable, match=r"^Connection 'c' could not be read: no$"):
        await world.connections.find("c")
    world.side.error = AirflowRefused("denied", "Variable 'a': Vault denies access")
    with pytest.raises(Unavailable, match=r"^Variable 'a': Vault denies access$"):
        await world.variables.find("a")
    world.side.error = None
    assert await world.value("a") == "1"


async def test_after_its_time_nothing_is_answered_from_memory(world: World) -> None:
    world.side.values["a"] = "1"
    assert await world.value("a") == "1"
    world.side.error = Unavailable("away")
    assert await world.value("a") == "1"
    world.time = 5.0
    with pytest.raises(Unavailable):
        await world.variables.find("a")
    world.variables.remembered.tidy()
    assert world.variables.remembered._known == {}


async def test_what_a_task_sets_is_seen_at_once(world: World) -> None:
    assert await world.value("a") is None
    await world.variables.put("a", "new", "about a")
    assert await world.value("a") == "new"
    assert await world.variables.remove("a")
    assert await world.value("a") is None
    assert world.changed == ["a", "a"]
    await world.variables.put("a", "by a file that is parsed", None, tell=False)
    assert world.changed == ["a", "a"]


async def test_an_answer_from_before_a_change_is_not_remembered(world: World) -> None:
    world.side.values["a"] = "old"
    world.side.may_answer.clear()
    asking = asyncio.ensure_future(world.value("a"))
    await asyncio.sleep(0)
    await asyncio.sleep(0)
    setting = asyncio.ensure_future(world.variables.put("a", "new", None))
    await asyncio.sleep(0)
    world.side.may_answer.set()
    await setting
    assert await asking == "old"
    assert await world.value("a") == "new"


async def test_lists_are_changed_in_airflow(world: World) -> None:
    for kept in (world.variables, world.connections):
        with pytest.raises(NotSupported, match="are changed in Airflow"):
            kept.refuse_changes()
