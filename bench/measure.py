"""Loads are put on sides, one side at a time, since they share the machine's CPUs; what came of them is kept."""

import sys
from collections import defaultdict
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any

from plan import LEVELS, Load, Plan
from samples import Phase, Sample
from sides import DAGS, AtLevel, Bare, Ours, Side
from stock import DEFAULT, TUNED, Installation, Stock, Tuning


class Measuring:
    """One run of the benchmark. Raises SystemExit when two sides give different values for the same DAG."""

    def __init__(self, plan: Plan, folder: Path, messages: Path) -> None:
        self._plan = plan
        self._folder = folder
        self._messages = messages
        self._values: dict[str, Any] = {}
        self.phases: dict[str, Phase] = defaultdict(lambda: defaultdict(Sample))
        self.cold_ms: list[float] = []
        """Of the first call of each cold file."""

    def run(self) -> None:
        self._turns_and_crowds()
        self._cold_files()
        if self._plan.stock:
            self._stock()

    def _turns_and_crowds(self) -> None:
        plan = self._plan
        progress("starting dagcall and the bare runner")
        ours, bare = Ours(self._folder, self._messages), Bare(self._folder, self._messages)
        with running(ours, bare):
            for load in plan.turns:
                self._warm(ours, load)
                self._warm(bare, load)
            for number in range(plan.rounds):
                for load in plan.turns:
                    self._measure("turns", ours, load, number)
                    self._measure("sdk_runner", bare, load, number)
            for load in plan.crowds:
                self._warm(ours, load)
            for number in range(plan.crowd_rounds):
                for load in plan.crowds:
                    self._measure("crowds", ours, load, number)
            for number in range(plan.level_rounds):
                for level in LEVELS:
                    for load in plan.levels:
                        self._measure(f"durability_{level}", AtLevel(ours, level), load, number)

    def _cold_files(self) -> None:
        """Loaded, as all files are when the server starts, but never called."""
        folder = self._folder / "cold"
        folder.mkdir()
        source = (DAGS / "one_task.py").read_text()
        names = [f"cold_{number}" for number in range(self._plan.cold_files)]
        for name in names:
            (folder / f"{name}.py").write_text(source.replace("one_task", name))
        progress("dagcall, first calls of files")
        ours = Ours(self._folder, self._messages, folder)
        with running(ours):
            for name in names:
                self.cold_ms += ours.run(name, 1, 0.0).ms

    def _stock(self) -> None:
        progress("stock Airflow, making its database")
        installation = Installation(self._folder, self._messages)
        with ExitStack() as stack:
            stack.callback(installation.stop)
            installation.migrate()
            self._side_by_side(installation, DEFAULT, self._plan.stock)
            self._side_by_side(installation, TUNED, self._plan.tuned)

    def _side_by_side(self, installation: Installation, tuning: Tuning, loads: tuple[Load, ...]) -> None:
        """Stock, then dagcall again: each with the machine for itself, and as near in time as can be."""
        progress(f"{tuning.name}, starting")
        stock = Stock(installation, tuning)
        with running(stock):
            # As many as LocalExecutor has processes: each of them imports what a task needs when it gets its first.
            self._warm(stock, Load("one_task", 32, 0.0))
            self._warm(stock, Load("nine", 1, 0.0))
            for load in loads:
                self._measure(tuning.name, stock, load)
        progress("dagcall again")
        ours = Ours(self._folder, self._messages)
        with running(ours):
            for load in self._plan.control:
                self._warm(ours, load)
                self._measure(f"after_{tuning.name}", ours, load)

    def _warm(self, side: Side, load: Load) -> None:
        self._check(load.dag_id, side.run(load.dag_id, load.callers, min(load.seconds / 2, 1.0)).value)

    def _measure(self, phase: str, side: Side, load: Load, number: int = 0) -> None:
        progress(f"{phase}, round {number + 1}: {load.callers} x {load.dag_id}")
        before = side.cpu()
        answer = side.run(load.dag_id, load.callers, load.seconds)
        used = {part: seconds - before[part] for part, seconds in side.cpu().items()}
        used["callers"] = answer.callers_cpu
        self._check(load.dag_id, answer.value)
        sample = self.phases[phase][load.name, load.callers]
        sample.ms += answer.ms
        sample.failed += answer.failed
        sample.rates.append(answer.rate)
        sample.cpu.append({part: seconds / len(answer.ms) * 1000 for part, seconds in used.items()})

    def _check(self, dag_id: str, value: Any) -> None:
        known = self._values.setdefault(dag_id, value)
        if known != value:
            raise SystemExit(f"{dag_id}: one side answered {known!r}, another {value!r}")


@contextmanager
def running(*sides: Side) -> Iterator[None]:
    """Until all are ready, and then until they are stopped."""
    with ExitStack() as stack:
        for side in sides:
            stack.callback(side.stop)
        for side in sides:
            side.wait_ready()
        yield


def progress(text: str) -> None:
    """On a terminal only."""
    if sys.stderr.isatty():
        print(f"\r\033[K{text}", end="", file=sys.stderr, flush=True)
