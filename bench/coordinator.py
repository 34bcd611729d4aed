"""What a task costs the coordinator: `python bench/coordinator.py [--profile] [--journal URL] [--record]`.

The real coordinator and journal, with workers that end every task at once and cost nothing: what is left is the price
of deciding, journaling and answering. CPU milliseconds a task and a run, `--profile` adds the costliest functions.
`--record`: and of handing ended runs to a recorder, who forgets them.
"""

import argparse
import asyncio
import cProfile
import os
import pstats
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import msgspec
import uvloop

from dagcall.coordinator.api import CallRequest
from dagcall.coordinator.coordinator import Coordinator, CoordinatorSettings
from dagcall.journal.open import open_journal
from dagcall.metadata_database import MetadataDatabase
from dagcall.model.plan import DagPlan
from dagcall.workers.frames import Ended, Start

DAGS = Path(__file__).resolve().parent / "dags"
PACK = msgspec.msgpack.encode
LISTS = {"rephrase": 3, "merge": 3, "numbers": 200}
"""Tasks that return a list to map over, and its length."""
RUNS = {"one_task": 3000, "nine": 600, "fanout_200": 40}


class Code:
    """The plans of one file, as a zygote would report them."""

    is_open = True
    version = "1"
    errors: tuple[()] = ()
    dependencies: tuple[()] = ()

    def __init__(self, path: str, plans: dict[str, DagPlan]) -> None:
        self.path = path
        self.plans = plans


class Recorder:
    """Implements `workers.base.AirflowSide`: has written everything at once."""

    def use(self, topic: str) -> None: ...

    async def ask(self, what: str, args: dict[str, Any], answer: Any, **how: Any) -> Any:
        receipts = ["recorded"] * len(args["runs"])
        return msgspec.convert({"receipts": receipts, "reasons": {}}, answer)


class Instantly:
    """Workers, and the lease of each job: whatever is started has succeeded."""

    pid = 1
    airflow = None
    """None of the settings here asks it."""

    def __init__(self, codes: dict[str, Code]) -> None:
        self._codes = codes
        self._soon: Callable[..., object] = lambda *_: None

    async def start(self, answer: object) -> dict[str, object]:
        self._soon = asyncio.get_running_loop().call_soon
        return {"base_log_folder": "/logs"}

    async def stop(self) -> None: ...

    recorder = Recorder()

    async def list_files(self) -> list[str]:
        return list(self._codes)

    async def load(self, path: str) -> Code:
        return self._codes[path]

    async def open(self, code: Code) -> Code:
        return code

    def close(self, code: Code) -> None: ...

    def submit(self, job: Any) -> None:
        self._soon(job.leased, Lease(job, self._soon))

    def statistics(self) -> dict[str, int]:
        return {}


class Lease:
    pid = 1
    airflow = None
    """None of the settings here asks it."""

    def __init__(self, job: Any, soon: Callable[..., object]) -> None:
        self._job = job
        self._soon = soon

    def start(self, start: Start, hard_limit: float | None) -> None:
        width = LISTS.get(start.task_id)
        value = list(range(width)) if width else {"text": "a value", "source": "docs"}
        ended = Ended(
            attempt=start.attempt,
            epoch=start.epoch,
            kind="success",
            error=None,
            reject=None,
            retry_delay=None,
            xcoms=[("return_value", PACK(value), width)],
            plain=b'"an answer"' if start.want_plain else None,
            skip=[],
            rendered_map_index=None,
            rendered_fields=b'{"op_args":"()","op_kwargs":{}}',
        )
        self._soon(self._job.ended, ended)


class Nobody:
    """A channel without another end: these files ask for nothing while they are parsed."""

    def send(self, message: object) -> None:
        raise AssertionError(f"a file asked for something: {message}")

    def receive(self) -> object:
        raise AssertionError("a file waits for an answer")


def plans_of(path: Path) -> dict[str, DagPlan]:
    """Compiled in a process of its own: this one stays without Airflow, as a server is."""
    reading, writing = os.pipe()
    if (child := os.fork()) == 0:
        from dagcall.airflow_bridge.runtime import AirflowRuntime

        runtime = AirflowRuntime()
        runtime.preload(str(DAGS))
        loaded = runtime.load(1, str(path), keep=False, channel=Nobody())  # type: ignore[arg-type]
        os.write(writing, PACK(loaded.plans))
        os._exit(0)
    os.close(writing)
    with os.fdopen(reading, "rb") as stream:
        packed = msgspec.msgpack.decode(stream.read(), type=list[bytes])
    os.waitpid(child, 0)
    plans = [msgspec.msgpack.decode(plan, type=DagPlan) for plan in packed]
    return {plan.dag_id: plan for plan in plans}


async def measure(codes: dict[str, Code], journal: str, profile: bool, record: bool) -> None:
    settings = CoordinatorSettings(
        folder=str(DAGS), watch=False, resume=False, database=MetadataDatabase(record, "", "")
    )
    coordinator = Coordinator(settings, open_journal(journal), Instantly(codes))
    await coordinator.start()
    await coordinator.load()

    async def call(dag_id: str) -> None:
        run = await coordinator.call(CallRequest(dag_id=dag_id, conf={}))
        assert await run.wait_outcome(30) is not None

    for dag_id, count in RUNS.items():
        for _ in range(20):
            await call(dag_id)
        profiler = cProfile.Profile(time.thread_time)
        if profile:
            profiler.enable()
        before, own = time.process_time(), time.thread_time()
        for _ in range(count // 8):
            await asyncio.gather(*(call(dag_id) for _ in range(8)))
        runs = count // 8 * 8
        profiler.disable()
        used, own = (time.process_time() - before) / runs * 1000, (time.thread_time() - own) / runs * 1000
        tasks = {"one_task": 1, "nine": 9, "fanout_200": 202}[dag_id]
        print(
            f"{dag_id:12} {used:8.3f} ms CPU a run, {used / tasks:6.3f} a task; {own / tasks:6.3f} of it in the event loop"
        )
        if profile:
            pstats.Stats(profiler).sort_stats("tottime").print_stats(45)
    if record:
        await coordinator.drain(60)
        assert coordinator.statistics()["recorded"] >= sum(count // 8 * 8 for count in RUNS.values())
    await coordinator.stop()


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--profile", action="store_true", help="print the costliest functions too")
    parser.add_argument("--journal", help="its URL; default: SQLite in a temporary folder")
    parser.add_argument("--record", action="store_true", help="with a recorder")
    arguments = parser.parse_args()
    codes = {}
    for dag_id in RUNS:
        path = DAGS / f"{dag_id}.py"
        codes[str(path)] = Code(str(path), plans_of(path))
    with tempfile.TemporaryDirectory() as folder:
        url = arguments.journal or f"sqlite:///{folder}/journal.db"
        with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
            runner.run(measure(codes, url, arguments.profile, arguments.record))


if __name__ == "__main__":
    main()
