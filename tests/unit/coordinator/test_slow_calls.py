"""Which calls are told to be slow."""

import asyncio
import logging

import pytest

from dagcall.coordinator.slow_calls import MOST, SlowCalls

from .test_metrics import a_run

pytestmark = pytest.mark.anyio


async def told(limit: float | None, runs: int, caplog: pytest.LogCaptureFixture) -> list[logging.LogRecord]:
    slow = SlowCalls(limit)
    slow.look([a_run(f"d{number}") for number in range(runs)])  # each took a second
    await asyncio.gather(*slow._tasks)
    return [one for one in caplog.records if one.name == "dagcall.slow_calls"]


@pytest.mark.parametrize(("limit", "count"), [(None, 0), (1.0, 0), (0.99, 1)])
async def test_only_what_took_longer(limit: float | None, count: int, caplog: pytest.LogCaptureFixture) -> None:
    assert len(await told(limit, 1, caplog)) == count


async def test_of_many_some_are_told(caplog: pytest.LogCaptureFixture) -> None:
    records = await told(0.5, MOST + 5, caplog)
    assert len(records) == MOST + 1
    assert records[-1].getMessage() == "5 more calls took longer than 0.5 s"
    assert records[0].getMessage().startswith("slow call: run d0/r took 1.000 s (success): queue 0.000")
