"""Work beside the calls does not end without a word."""

import asyncio
import logging

import pytest

from dagcall.coordinator.background import in_background

pytestmark = pytest.mark.anyio


async def test_a_bug_is_told(caplog: pytest.LogCaptureFixture) -> None:
    async def work() -> None:
        raise ZeroDivisionError("division by zero")

    task = in_background(work(), "dagcall-succession")
    await asyncio.wait([task])
    (record,) = caplog.records
    assert record.levelno == logging.CRITICAL
    assert record.getMessage().startswith("dagcall-succession has ended by a bug")
    assert record.exc_info is not None
    assert record.exc_info[0] is ZeroDivisionError


async def test_being_stopped_is_not(caplog: pytest.LogCaptureFixture) -> None:
    task = in_background(asyncio.Event().wait(), "dagcall-succession")  # type: ignore[arg-type]
    task.cancel()
    await asyncio.wait([task])
    assert caplog.records == []
