"""Run DAGs on an embedded engine, and write down how each run and each task instance ended."""

import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from datetime import datetime
from typing import Any
from urllib.parse import quote

import dagcall
from dagcall.cli.paging import all_of

FINAL = ("success", "failed")
_LOOK_EVERY = 0.1


def run_all(folder: str, runs: list[tuple[str, str | None]], seconds: float, jobs: int) -> list[dict[str, Any]]:
    """One result a run: {"state", "instances"}, {"refused": [...]}, {"error": ...} or {"timeout": True}."""
    with dagcall.Engine(folder, watch=False) as engine:
        features = {dag["dag_id"]: dag["features"] for dag in engine.dags()}

        def one(run: tuple[str, str | None]) -> dict[str, Any]:
            dag_id, date = run
            if dag_id not in features:
                return {"error": "does not import"}
            if features[dag_id]:
                return {"refused": [_sentence(feature) for feature in features[dag_id]]}
            result = _run(engine, dag_id, date, seconds)
            print(f"here: {dag_id}: {result.get('state', 'no end')}", flush=True)
            return result

        with ThreadPoolExecutor(jobs) as threads:
            return list(threads.map(one, runs))


def _run(engine: "dagcall.Engine", dag_id: str, date: str | None, seconds: float) -> dict[str, Any]:
    try:
        handle = engine.with_options(logical_date=None if date is None else datetime.fromisoformat(date)).submit(dag_id)
    except dagcall.DagcallError as error:
        return {"error": f"{type(error).__name__}: {error}"}
    path = f"/api/v2/dags/{quote(dag_id, safe='')}/dagRuns/{quote(handle.id, safe='')}"
    state = _wait(lambda: str(engine.get(path)["state"]), seconds)
    instances = [
        [one["task_id"], one["map_index"], one["state"] or "none"]
        for one in all_of(engine, f"{path}/taskInstances", "task_instances")
    ]
    if state not in FINAL:
        handle.cancel()
        return {"timeout": True, "instances": sorted(instances)}
    return {"state": state, "instances": sorted(instances)}


def _wait(look: Callable[[], str], seconds: float) -> str:
    deadline = time.monotonic() + seconds
    while (state := look()) not in FINAL and time.monotonic() < deadline:
        time.sleep(_LOOK_EVERY)
    return state


def _sentence(feature: dict[str, Any]) -> str:
    where = f"task `{feature['task_id']}`: " if feature.get("task_id") else ""
    return f"{where}{feature['feature']}: {feature['reason']}"
