"""Compare generated DAGs under stock Airflow and here.

    python run.py N            seeds 0 to N-1
    python run.py FIRST:LAST   these seeds, the last not included
    python run.py 7,11,        these seeds

Prints what fired, counted after execution. Exits with 1 and the smallest DAG it could find for each of the first few
mismatches. The same seeds give the same DAGs.
"""

import argparse
import contextlib
import copy
import json
import os
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from specs import MAX_MAP_LENGTH, Spec, describe, random_spec, sources_of, tasks_of, walk, xcoms_in
from tally import Tally

HERE = Path(__file__).parent
CHUNK = 10
SHOWN = 5


class Side:
    """A process that runs specs. Lists of them go in, one a line, and lists of results come out."""

    def __init__(self, script: str, home: Path) -> None:
        home.mkdir()
        self._errors = (home / "errors.txt").open("w+")
        inherited = {name: value for name, value in os.environ.items() if not name.startswith("AIRFLOW")}
        own = {
            "AIRFLOW_HOME": str(home),
            "AIRFLOW__CORE__LOAD_EXAMPLES": "False",
            "AIRFLOW__CORE__MAX_MAP_LENGTH": str(MAX_MAP_LENGTH),
            "AIRFLOW__LOGGING__LOGGING_LEVEL": "ERROR",
            "PYTHONHASHSEED": "0",  # branches push lists made of sets of task ids
        }
        self._process = subprocess.Popen(
            [sys.executable, str(HERE / script)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=self._errors,
            env=inherited | own,
            text=True,
        )

    def run(self, specs: list[Spec]) -> list[dict[str, Any]]:
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        with contextlib.suppress(BrokenPipeError):
            print(json.dumps(specs), file=self._process.stdin, flush=True)
        line = self._process.stdout.readline()
        if not line:
            self._errors.seek(0)
            raise RuntimeError(f"{self._process.args} ended: {self._errors.read()[-6000:]}")
        results: list[dict[str, Any]] = json.loads(line)
        return results

    def close(self) -> None:
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        self._process.stdin.close()
        self._process.stdout.close()
        self._process.wait()
        self._errors.close()


class Pair:
    """Stock and ours."""

    def __init__(self, home: Path) -> None:
        home.mkdir()
        self._stock = Side("stock.py", home / "stock")
        self._ours = Side("ours.py", home / "ours")

    def run(self, specs: list[Spec]) -> list[tuple[dict[str, Any], dict[str, Any]]]:
        return list(zip(self._stock.run(specs), self._ours.run(specs), strict=True))

    def differs(self, spec: Spec) -> tuple[dict[str, Any], dict[str, Any]] | None:
        """Both results of a spec, None when they agree or it does not load."""
        try:
            ((stock, ours),) = self.run([spec])
        except RuntimeError:
            return None
        return (stock, ours) if difference(stock, ours) else None

    def close(self) -> None:
        self._stock.close()
        self._ours.close()


def difference(stock: dict[str, Any], ours: dict[str, Any]) -> list[str]:
    """What differs, a line each."""
    if "refused" in ours:
        return [f"refused: {ours['refused']}"]
    lines = []
    if stock["state"] != ours["state"]:
        lines.append(f"run: stock {stock['state']}, ours {ours['state']}")
    for what in ("instances", "xcoms"):
        theirs, own = ([json.dumps(row) for row in side[what]] for side in (stock, ours))
        lines += [f"{what}: only stock {row}" for row in theirs if row not in own]
        lines += [f"{what}: only ours {row}" for row in own if row not in theirs]
    if ours["open"] or (ours["outcome"] == "failed") != (ours["state"] == "failed"):
        lines.append(f"ours: answered {ours['outcome']}, ended {ours['state']}, {ours['open']} attempts open")
    return lines


def smaller(spec: Spec) -> Iterator[Spec]:
    """The spec with one task less, or with something of a task made plain."""
    for task in tasks_of(spec):
        yield without(spec, task["task_id"])
    for number, task in enumerate(tasks_of(spec)):
        plain: dict[str, Any] = {"retries": 0, "policy": False, "inputs": [], "argument": None, "rule": "all_success"}
        plain |= {"acts": {"default": ["success"]}, "length": 1}
        for name, value in plain.items():
            if task[name] != value and not (name == "rule" and task["teardown"]):
                changed = copy.deepcopy(spec)
                tasks_of(changed)[number][name] = value
                yield changed
        for up in task["upstream"]:
            changed = copy.deepcopy(spec)
            tasks_of(changed)[number]["upstream"].remove(up)
            yield changed


def without(spec: Spec, task_id: str) -> Spec:
    def kept(nodes: list[Spec]) -> list[Spec]:
        left = []
        for node in nodes:
            if "task_id" in node:
                if node["task_id"] != task_id:
                    left.append(node)
                continue
            node["nodes"] = kept(node["nodes"])
            if node["nodes"]:
                left.append(node)
        return left

    spec = copy.deepcopy(spec)
    spec["nodes"] = kept(spec["nodes"])
    for node, _ in walk(spec["nodes"]):
        for name in ("upstream", "inputs", "follow"):
            if isinstance(node.get(name), list):
                node[name] = [other for other in node[name] if other != task_id]
        if any(task_id in xcoms_in(source) for source in sources_of(node)):
            node |= {"expand": {("item" if "task_id" in node else "a"): {"literal": 2}}, "kwargs": None}
    return spec


def smallest(spec: Spec, lines: list[str], pair: Pair) -> tuple[Spec, list[str]]:
    """A small spec that still differs, and how."""
    found = pair.differs(spec)
    if found is None:
        return spec, ["(not when run again)", *lines]
    tried, progress = 0, True
    while progress and tried < 200:
        progress = False
        for candidate in smaller(spec):
            tried += 1
            candidate["dag_id"] = f"{spec['dag_id'].split('_smaller')[0]}_smaller{tried}"
            if again := pair.differs(candidate):
                spec, found, progress = candidate, again, True
                break
    return spec, difference(*found)


class Comparison:
    """All seeds, shared among threads with a pair of processes each."""

    def __init__(self, seeds: list[int]) -> None:
        self.tally = Tally()
        self.mismatches: list[tuple[Spec, list[str]]] = []
        self.done = 0
        self.error: BaseException | None = None
        self._seeds = seeds
        self._chunks = [seeds[start : start + CHUNK] for start in range(0, len(seeds), CHUNK)]
        self._lock = threading.Lock()
        self._begin = time.monotonic()

    def work(self, home: Path) -> None:
        pair = None
        try:
            pair = Pair(home)
            while (chunk := self._next()) is not None:
                specs = [random_spec(seed) for seed in chunk]
                self._take(specs, pair.run(specs))
        except BaseException as error:
            self.error = error
        finally:
            if pair is not None:
                pair.close()

    def _next(self) -> list[int] | None:
        with self._lock:
            return self._chunks.pop(0) if self._chunks and self.error is None else None

    def _take(self, specs: list[Spec], results: list[tuple[dict[str, Any], dict[str, Any]]]) -> None:
        with self._lock:
            for spec, (stock, ours) in zip(specs, results, strict=True):
                self.tally.add(spec, stock)
                if lines := difference(stock, ours):
                    self.mismatches.append((spec, lines))
            self.done += len(specs)
            seconds = time.monotonic() - self._begin
            print(f"{self.done}/{len(self._seeds)} in {seconds:.0f} s, {len(self.mismatches)} differ", flush=True)


def seeds_of(text: str) -> list[int]:
    if "," in text:
        return [int(seed) for seed in text.split(",") if seed]
    first, _, last = text.rpartition(":")
    return list(range(int(first or 0), int(last)))


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("seeds", help="N, FIRST:LAST or a list")
    parser.add_argument("--processes", type=int, default=2, help="pairs of processes")
    parser.add_argument("--as-found", action="store_true", help="do not look for smaller DAGs")
    arguments = parser.parse_args()
    comparison = Comparison(seeds_of(arguments.seeds))

    memory = Path("/dev/shm")
    with tempfile.TemporaryDirectory(
        dir=memory if os.access(memory, os.W_OK) else None, prefix="differential-"
    ) as base:
        threads = [
            threading.Thread(target=comparison.work, args=(Path(base) / str(number),))
            for number in range(arguments.processes)
        ]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        if comparison.error is not None:
            raise comparison.error
        print(comparison.tally)
        mismatches = comparison.mismatches
        if mismatches and not arguments.as_found:
            for number, (spec, lines) in enumerate(mismatches[:SHOWN]):
                pair = Pair(Path(base) / f"smaller-{number}")
                small, lines = smallest(spec, lines, pair)
                pair.close()
                print(f"\n{spec['dag_id']} differs. A small form of it:\n{describe(small)}\n  " + "\n  ".join(lines))
        for spec, lines in mismatches[SHOWN if not arguments.as_found else 0 :]:
            print(f"\n{spec['dag_id']} differs: " + "; ".join(lines[:4]))
    print(f"\n{comparison.done} DAGs, {len(mismatches)} differ")
    return 1 if mismatches else 0


if __name__ == "__main__":
    sys.exit(main())
