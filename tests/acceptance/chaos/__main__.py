"""`make chaos`: `python -m tests.acceptance.chaos [RUNS] [--journal postgresql|sqlite] [--seed N] [--kills N] [--servers N] [--keep FOLDER]`."""

import argparse
import asyncio
import shutil
import sys
import tempfile
from pathlib import Path

from dagcall.testing import stored_runs
from dagcall.testing.postgres_server import PostgresServer
from dagcall.workers import processes

from ..serving import know_children
from .ordeal import Ordeal, Report

RUNS_A_KILL = 80


def main() -> int:
    parser = argparse.ArgumentParser(prog="chaos")
    parser.add_argument("runs", type=int, nargs="?", default=10_000)
    parser.add_argument("--journal", choices=("postgresql", "sqlite"), default="postgresql")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--kills", type=int, help=f"default: one for every {RUNS_A_KILL} runs")
    parser.add_argument("--servers", type=int, default=1, help="that share the journal, which is PostgreSQL then")
    parser.add_argument("--keep", type=Path, help="a folder for the journal, logs and effects")
    arguments = parser.parse_args()
    processes.become_subreaper()
    home = arguments.keep or Path(tempfile.mkdtemp(prefix="dagcall-chaos-"))
    home.mkdir(parents=True, exist_ok=True)
    print(f"journal, logs and effects are in {home}, and stay there when something is wrong", flush=True)
    numbers = {
        "runs": arguments.runs,
        "kills": arguments.kills or arguments.runs // RUNS_A_KILL,
        "seed": arguments.seed,
    }
    if arguments.journal == "sqlite":
        report = on_sqlite(home, **numbers)
    else:
        report = on_postgres(home, servers=arguments.servers, **numbers)
    print(f"{arguments.journal}, {arguments.servers} server(s), {report}")
    if not arguments.keep and not report.violations:
        shutil.rmtree(home, ignore_errors=True)
    return 1 if report.violations else 0


def on_sqlite(home: Path, *, runs: int, kills: int, seed: int) -> Report:
    file = home / "journal.db"
    ordeal = Ordeal(home, f"sqlite:///{file}", lambda: stored_runs.of_sqlite(file), runs=runs, kills=kills, seed=seed)
    return ordeal.play()


def on_postgres(home: Path, *, runs: int, kills: int, seed: int, servers: int = 1) -> Report:
    with PostgresServer() as database:
        know_children()  # the database is one
        url = database.url()
        ordeal = Ordeal(
            home,
            url,
            lambda: asyncio.run(stored_runs.of_postgres(url)),
            runs=runs,
            kills=kills,
            seed=seed,
            database=database,
            servers=servers,
        )
        return ordeal.play()


if __name__ == "__main__":
    sys.exit(main())
