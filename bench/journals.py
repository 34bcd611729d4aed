"""What a call costs with its journal in SQLite, and in PostgreSQL: `python bench/journals.py [--seconds 5]`.

Real servers on the same DAG files, one caller, in turns, so that all see the same moods of the machine. PostgreSQL runs
on this machine, with its defaults; and once without flushes (`fsync=off`), which tells the price of the round trips
from that of the disk.
"""

import argparse
import statistics
import tempfile
from pathlib import Path

from process import adopt_orphans, end_all
from sides import Ours

from dagcall.testing.postgres_server import PostgresServer

ROUNDS = 4
DAG_IDS = ("one_task", "nine")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seconds", type=float, default=5.0, help="of each turn")
    seconds = parser.parse_args().seconds
    adopt_orphans()
    with tempfile.TemporaryDirectory(prefix="dagcall-bench-") as name:
        messages = Path(name) / "messages"
        messages.mkdir()
        try:
            with PostgresServer() as flushing, PostgresServer("fsync=off") as quick:
                urls = {"SQLite": None, "PostgreSQL": flushing.url(), "PostgreSQL, no fsync": quick.url()}
                servers = {one: Ours(Path(name), messages, journal=url, name=one) for one, url in urls.items()}
                for server in servers.values():
                    server.wait_ready()
                show(servers, seconds)
                for server in servers.values():
                    server.stop()
        finally:
            end_all()


def show(servers: dict[str, Ours], seconds: float) -> None:
    print(f"{'':10} {'':22} {'p50':>9} {'p95':>9}")
    for dag_id in DAG_IDS:
        took: dict[str, list[float]] = {name: [] for name in servers}
        for turn in range(ROUNDS + 1):
            for name, server in servers.items():
                answer = server.run(dag_id, 1, seconds if turn else 1.0)
                took[name] += answer.ms if turn else []  # the first turn warms up
        for name, ms in took.items():
            p50, p95 = statistics.median(ms), statistics.quantiles(ms, n=20)[-1]
            print(f"{dag_id:10} {name:22} {p50:6.2f} ms {p95:6.2f} ms")


if __name__ == "__main__":
    main()
