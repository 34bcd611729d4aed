"""Whether memory stays flat: `python bench/memory.py [--calls 20000]`.

Calls `one_task` and `nine` in turn, from 8 callers, and looks after each twentieth at the memory that no two processes
share (USS): of the server's process, and of its workers together. The slope is that of the line through the samples of
the second half, when all caches are full: kilobytes a thousand calls.
"""

import argparse
import statistics
import tempfile
from pathlib import Path

import psutil
from process import adopt_orphans, end_all
from sides import Ours

SAMPLES = 20
CALLERS = 8


def memory(pid: int) -> tuple[float, float, int]:
    """MB of the server, MB of its workers together, and how many these are."""
    server = psutil.Process(pid)
    workers = [one for one in server.children(recursive=True) if one.cmdline()[0].startswith("dagcall: worker")]
    return (
        server.memory_full_info().uss / 2**20,
        sum(one.memory_full_info().uss for one in workers) / 2**20,
        len(workers),
    )


def slope(calls: list[int], megabytes: list[float]) -> float:
    """Kilobytes a thousand calls, over the second half."""
    half = len(calls) // 2
    return statistics.linear_regression(calls[half:], megabytes[half:]).slope * 1024 * 1000


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--calls", type=int, default=20_000)
    arguments = parser.parse_args()
    adopt_orphans()
    with tempfile.TemporaryDirectory(prefix="dagcall-bench-", ignore_cleanup_errors=True) as name:
        folder = Path(name)
        messages = folder / "messages"
        messages.mkdir()
        ours = Ours(folder, messages)
        try:
            ours.wait_ready()
            made: list[int] = []
            servers: list[float] = []
            workers: list[float] = []
            print(f"{'calls':>8} {'server MB':>10} {'workers MB':>11} {'workers':>8}")
            while not made or made[-1] < arguments.calls:
                before = made[-1] if made else 0
                done = 0
                while done < arguments.calls / SAMPLES:
                    for dag_id in ("one_task", "nine"):
                        done += len(ours.run(dag_id, CALLERS, 2.0).ms)
                server, together, count = memory(ours.pid)
                made.append(before + done)
                servers.append(server)
                workers.append(together)
                print(f"{made[-1]:8} {server:10.1f} {together:11.1f} {count:8}", flush=True)
            print(f"server: {slope(made, servers):+.1f} kB a thousand calls; workers: {slope(made, workers):+.1f}")
        finally:
            ours.stop()
            end_all()


if __name__ == "__main__":
    main()
