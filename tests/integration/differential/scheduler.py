"""Compare generated DAGs under stock Airflow's scheduler, on PostgreSQL, and here.

    python scheduler.py N            seeds 0 to N-1
    python scheduler.py FIRST:LAST   these seeds, the last not included

The real scheduler looks at a run when it comes to it, so one DAG may end in several ways. The way that it ended must
be one that it can end in here: in lockstep, or in one of many other orders. Exits with 1 if it is none.
"""

import argparse
import json
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

from run import HERE, Side, difference, seeds_of
from specs import MAX_MAP_LENGTH, Spec, describe, random_spec
from tally import Tally

sys.path.insert(0, str(HERE.parents[2] / "bench"))

from process import adopt_orphans, end_all
from stock import TUNED, Installation, Stock

WAYS = 60
PATIENCE = 300.0
"""Seconds for a run that has begun."""
AT_ONCE = 8
DAG_FILE = """
import json, sys
sys.path.insert(0, {here!r})
from airflow.sdk import DAG
from dags import build
dag = build(json.loads({spec!r}))
"""


class Scheduler:
    """Stock Airflow with its components, on the specs given."""

    def __init__(self, folder: Path, specs: list[Spec]) -> None:
        messages = folder / "messages"
        messages.mkdir()
        self._dags = folder / "dags"
        self._dags.mkdir()
        for spec in specs:
            text = DAG_FILE.format(here=str(HERE), spec=json.dumps(spec))
            (self._dags / f"{spec['dag_id']}.py").write_text(text)
        self._specs = specs
        self._installation = Installation(folder, messages)
        self._installation.environment |= {
            "AIRFLOW__CORE__DAGS_FOLDER": str(self._dags),
            "AIRFLOW__CORE__MAX_MAP_LENGTH": str(MAX_MAP_LENGTH),
            "PYTHONHASHSEED": "0",
        }
        self._installation.migrate()
        self._stock = Stock(self._installation, TUNED, {spec["dag_id"] for spec in specs})

    def wait_ready(self) -> None:
        self._stock.wait_ready()

    def results(self) -> dict[str, dict[str, Any]]:
        """By DAG id, of one run of each."""
        waiting, running, done = list(self._specs), {}, {}
        while waiting or running:
            while waiting and len(running) < AT_ONCE:
                dag_id = waiting.pop(0)["dag_id"]
                body = {"dag_run_id": "r", "logical_date": None}
                self._stock.ask(f"/api/v2/dags/{dag_id}/dagRuns", body)
                running[dag_id] = time.monotonic() + PATIENCE
            time.sleep(0.5)
            for dag_id, deadline in list(running.items()):
                run = self._stock.ask(f"/api/v2/dags/{dag_id}/dagRuns/r")
                if run["state"] in ("success", "failed") or time.monotonic() > deadline:
                    done[dag_id] = self._result(dag_id, run["state"])
                    del running[dag_id]
                    print(f"{len(done)}/{len(self._specs)} {dag_id} {run['state']}", flush=True)
        return done

    def _result(self, dag_id: str, state: str) -> dict[str, Any]:
        path = f"/api/v2/dags/{dag_id}/dagRuns/r"
        instances = self._stock.ask(f"{path}/taskInstances?limit=1000")["task_instances"]
        entries = self._stock.ask(f"{path}/taskInstances/~/xcomEntries?limit=1000")["xcom_entries"]
        return {
            "state": state,
            "instances": sorted(
                [ti["task_id"], ti["map_index"], ti["state"] or "none", ti["try_number"]] for ti in instances
            ),
            "xcoms": sorted([entry["task_id"], entry["map_index"], entry["key"]] for entry in entries),
        }

    def stop(self) -> None:
        self._stock.stop()
        self._installation.stop()


def without_values(result: dict[str, Any]) -> dict[str, Any]:
    """As the API lists XComs."""
    return result | {"xcoms": [row[:3] for row in result["xcoms"]]}


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("seeds", help="N or FIRST:LAST, at most 100")
    specs = [random_spec(seed) for seed in seeds_of(parser.parse_args().seeds)]
    tally, mismatches, other_ways = Tally(), 0, 0
    adopt_orphans()
    try:
        with tempfile.TemporaryDirectory(prefix="differential-") as base:
            scheduler = Scheduler(Path(base), specs)
            try:
                scheduler.wait_ready()
                stock = scheduler.results()
            finally:
                scheduler.stop()
            ours = Side("ours.py", Path(base) / "ours")
            for spec in specs:
                theirs = stock[spec["dag_id"]]
                (lockstep,) = map(without_values, ours.run([spec]))
                tally.add(spec, theirs)
                if not difference(theirs, lockstep):
                    continue
                other_ways += 1
                (found,) = ours.run([spec | {"ways": WAYS}])
                if all(difference(theirs, without_values(way)) for way in found["ways"]):
                    mismatches += 1
                    lines = "\n  ".join(difference(theirs, lockstep))
                    print(f"\n{describe(spec)}\n  {lines}")
            ours.close()
    finally:
        end_all()
    print(f"{tally}\n\n{len(specs)} DAGs, {other_ways} not as in lockstep, {mismatches} in no way of ours")
    return 1 if mismatches else 0


if __name__ == "__main__":
    sys.exit(main())
