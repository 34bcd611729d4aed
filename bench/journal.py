"""What the journal costs: `python bench/journal.py [DIRECTORY]` prints milliseconds and batches a second.

On uvloop, as the server. One event of about 1 kB a batch. `c1`: one run, each append awaited before the next. `c32`: 32 runs side by side. The
directory (default: a new temporary one) decides which disk is measured; flushes are what differs.
"""

import asyncio
import statistics
import sys
import tempfile
import time
from dataclasses import replace
from pathlib import Path

import uvloop

from dagcall.journal.open import open_journal
from dagcall.model.events import AttemptEnded, EndKind, RunAccepted, XComItem
from dagcall.model.ids import RunKey
from dagcall.model.records import Batch, JournalRecord, RunHead
from dagcall.model.states import RunState

BATCHES = 4000


def batches(run_id: str, count: int) -> list[Batch]:
    key = RunKey("bench", run_id)
    head = RunHead(key, RunState.RUNNING, "v1", queued_at=0.0, run_after=0.0, last_record=1)
    accepted = JournalRecord(1, 0.0, "accepted", {}, RunAccepted("bench", run_id, "v1"))
    made = [Batch(head, (accepted,))]
    value = XComItem("return_value", b"x" * 700)
    for id in range(2, count + 2):
        event = AttemptEnded(id, 1, EndKind.SUCCESS, xcoms=(value,), plain=b"y" * 200)
        data = {"task_id": "answer", "map_index": 0, "state": "success", "try_number": 1}
        made.append(Batch(replace(head, last_record=id), (JournalRecord(id, float(id), "task", data, event),)))
    return made


async def measure(url: str, durability: str, callers: int) -> tuple[list[float], float]:
    """Milliseconds from append to durable of each batch, and batches a second over all."""
    journal = open_journal(url)
    await journal.open()
    took: list[float] = []
    count = BATCHES if durability == "process" else BATCHES // 4
    work = [batches(f"{durability}-{callers}-{caller}", count // callers) for caller in range(callers)]

    async def call(mine: list[Batch]) -> None:
        for batch in mine:
            start = time.perf_counter()
            await journal.append(batch, durability)
            took.append((time.perf_counter() - start) * 1000)

    start = time.perf_counter()
    await asyncio.gather(*map(call, work))
    elapsed = time.perf_counter() - start
    await journal.close()
    return took, len(took) / elapsed


def main() -> None:
    with tempfile.TemporaryDirectory(dir=sys.argv[1] if len(sys.argv) > 1 else None) as directory:
        sqlite = f"sqlite:///{Path(directory).resolve() / 'bench.db'}"
        for url, durability in ((sqlite, "process"), (sqlite, "power"), ("memory:", "process")):
            for callers in (1, 32):
                took, rate = uvloop.run(measure(url, durability, callers))
                centiles = statistics.quantiles(took, n=100)
                print(
                    f"{url.partition(':')[0]:7} {durability:8} c{callers:<3} p50 {centiles[49]:7.3f} ms  "
                    f"p95 {centiles[94]:7.3f} ms  p99 {centiles[98]:7.3f} ms  {rate:8.0f} batches/s"
                )


if __name__ == "__main__":
    main()
