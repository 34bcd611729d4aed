"""Large params: others are served while they are looked at."""

import asyncio
from typing import Any, cast

import pytest

from dagcall.coordinator.api import CallRequest
from dagcall.coordinator.catalog import Served
from dagcall.coordinator.exposure import Exposure
from dagcall.coordinator.limits import Limits
from dagcall.coordinator.params import LARGE, ParamsValidator
from dagcall.coordinator.screening import Screening
from dagcall.errors import InvalidParams, Overloaded
from dagcall.model.ids import RunKey
from dagcall.model.plan import DagPlan

pytestmark = pytest.mark.anyio

ROWS = {"type": "object", "properties": {"rows": {"type": "array", "items": {"type": "integer"}}}}
PLAN = DagPlan("d", "v", "/d.py", "d.py", (), params_schema=ROWS)
SERVED = Served(PLAN, cast(Any, None), cast(Any, None), ParamsValidator(PLAN))


class Load:
    """Admission, and whether it refuses."""

    def __init__(self) -> None:
        self.is_full = False
        self.asked = 0

    def admit(self, request: CallRequest) -> None:
        self.asked += 1
        if self.is_full:
            raise Overloaded("full", retry_after=1.0)


@pytest.fixture
def load() -> Load:
    return Load()


@pytest.fixture
def screening(load: Load) -> Screening:
    return Screening(Limits(), cast(Any, None), cast(Any, None), (), Exposure(), load.admit)


def call(*rows: Any, **more: Any) -> CallRequest:
    return CallRequest("d", conf={"rows": list(rows)}, **more)


async def test_the_event_loop_has_its_turns_while_large_params_are_looked_at(screening: Screening) -> None:
    checking = asyncio.ensure_future(screening.check(call(*range(50_000)), SERVED))
    turns = 0
    while not checking.done():
        await asyncio.sleep(0)
        turns += 1
    await checking
    assert turns > 10


async def test_large_params_are_refused_as_small_ones_are(screening: Screening) -> None:
    for rows in (("no",), (*range(LARGE), "no")):
        with pytest.raises(InvalidParams) as caught:
            await screening.check(call(*rows), SERVED)
        assert [one.field for one in caught.value.errors] == [f"rows[{len(rows) - 1}]"]


async def test_an_overloaded_server_does_not_look_at_large_params(screening: Screening, load: Load) -> None:
    load.is_full = True
    with pytest.raises(Overloaded):
        await screening.check(call(*range(LARGE), "no"), SERVED)
    with pytest.raises(InvalidParams):
        await screening.check(call("no"), SERVED)
    with pytest.raises(InvalidParams):  # what a run starts was admitted with it
        await screening.check(call(*range(LARGE), "no", started_by=RunKey("parent", "r")), SERVED)
    assert load.asked == 1
