"""The Airflow-side process, a real one: bounded answers whatever becomes of it, and nothing left behind."""

import asyncio
import os
import signal
import subprocess
import sys
from collections.abc import AsyncIterator, Callable
from pathlib import Path
from typing import Any

import psutil
import pytest

from dagcall.compose import airflow_environment
from dagcall.errors import Unavailable
from dagcall.workers.airflow_side import AirflowProcess

pytestmark = pytest.mark.anyio

PATIENT = 90.0
"""Seconds, on a machine with other things to do; nothing here waits that long."""

OWNER = """
import asyncio, os, sys
from dagcall.compose import airflow_environment
from dagcall.workers import processes
from dagcall.workers.airflow_side import AirflowProcess

async def main():
    side = AirflowProcess("airflow", airflow_environment(dict(os.environ)))
    await side.ask("installation.describe", {}, dict, limit=90)
    print("ready", flush=True)
    await asyncio.sleep(600)

processes.become_subreaper()
asyncio.run(main())
"""


@pytest.fixture(scope="module")
def anyio_backend() -> str:
    return "asyncio"


@pytest.fixture(scope="module")
async def side() -> AsyncIterator[AirflowProcess]:
    process = AirflowProcess("airflow", airflow_environment(dict(os.environ)))
    yield process
    await process.stop()
    assert _named("airflow") == []
    assert _named("side") == []


async def _describe(side: AirflowProcess, **options: Any) -> dict[str, Any]:
    return await side.ask("installation.describe", {}, dict, **{"limit": PATIENT} | options)


def _named(role: str, below: psutil.Process | None = None) -> list[psutil.Process]:
    found = []
    for process in (below or psutil.Process()).children(recursive=True):
        try:
            if " ".join(process.cmdline()).strip() == f"dagcall: {role}":
                found.append(process)
        except psutil.Error:
            continue
    return found


async def _until(fact: Callable[[], Any]) -> Any:
    async with asyncio.timeout(PATIENT):
        while not (found := fact()):  # noqa: ASYNC110
            await asyncio.sleep(0.02)
        return found


async def test_it_is_started_by_the_first_question_and_answers_many_at_once(side: AirflowProcess) -> None:
    assert not side.is_started
    assert side.trouble is None
    assert _named("side") == []
    answers = await asyncio.gather(*(_describe(side) for _ in range(50)))
    assert {answer["airflow_version"] for answer in answers} == {answers[0]["airflow_version"]}
    assert len(_named("airflow")) == 1


async def test_whatever_is_killed_is_started_again_and_what_it_owed_is_asked_again(side: AirflowProcess) -> None:
    await _describe(side)
    for role in ("airflow", "side"):
        [victim] = await _until(lambda role=role: _named(role))
        [process] = _named("airflow")
        process.suspend()  # so that it has not answered when it dies
        owed = [asyncio.ensure_future(_describe(side)) for _ in range(10)]
        once = asyncio.ensure_future(_describe(side, again=False))
        await asyncio.sleep(0)
        victim.kill()
        with pytest.raises(Unavailable, match="lost while it was asked"):
            await once
        for answer in await asyncio.gather(*owed):
            assert answer["airflow_version"]
        assert process not in _named("airflow")
        assert len(_named("airflow")) == 1


async def test_one_that_hangs_costs_a_question_no_more_than_its_limit(side: AirflowProcess) -> None:
    await _describe(side)
    [process] = _named("airflow")
    process.suspend()
    with pytest.raises(Unavailable, match="did not answer within"):
        await _describe(side, limit=0.2)
    process.resume()
    assert (await _describe(side))["airflow_version"]


async def test_one_that_answers_nothing_for_long_is_ended(
    side: AirflowProcess, monkeypatch: pytest.MonkeyPatch
) -> None:
    await _describe(side)
    [process] = _named("airflow")
    process.suspend()
    monkeypatch.setattr("dagcall.workers.airflow_side.STUCK_AFTER", 0.1)
    await asyncio.sleep(0.15)
    with pytest.raises(Unavailable):
        await _describe(side, limit=0.2)
    assert (await _describe(side))["airflow_version"]
    assert process not in _named("airflow")


async def test_what_cannot_be_asked_says_nothing_of_why(side: AirflowProcess) -> None:
    for what in ("nothing.here", "installation.question", "installation.Any", "os.getcwd", "installation", "..x"):
        with pytest.raises(Unavailable) as refusal:
            await side.ask(what, {}, dict, limit=PATIENT)
        assert "the log tells why" in str(refusal.value)
    with pytest.raises(Unavailable, match="the log tells why"):
        await side.ask("installation.describe", {"no_such_argument": 1}, dict, limit=PATIENT)


async def test_after_the_end_nothing_is_asked(side: AirflowProcess) -> None:
    await _describe(side)
    _named("airflow")[0].suspend()
    asking = asyncio.ensure_future(_describe(side))
    await asyncio.sleep(0)
    await side.stop()
    for asked in (asking, _describe(side)):
        with pytest.raises(Unavailable, match="stopping"):
            await asked


@pytest.mark.parametrize("role", ["owner", "side"])
def test_no_process_outlives_its_owner(role: str, tmp_path: Path) -> None:
    """Whichever single process was killed before."""
    environment = os.environ | {"PYTHONPATH": os.pathsep.join(sys.path)}
    with subprocess.Popen([sys.executable, "-c", OWNER], stdout=subprocess.PIPE, env=environment, text=True) as owner:
        assert owner.stdout is not None
        assert owner.stdout.readline() == "ready\n"
        family = psutil.Process(owner.pid).children(recursive=True)
        assert len(family) == 2
        if role != "owner":
            [victim] = _named(role, psutil.Process(owner.pid))
            victim.kill()
        owner.send_signal(signal.SIGKILL)
    gone, alive = psutil.wait_procs(family, timeout=10)
    for process in alive:
        process.kill()
    assert len(gone) == 2
