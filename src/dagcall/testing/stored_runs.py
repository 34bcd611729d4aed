"""The runs of a journal as they are stored, read past the engine: what `promises` judges."""

import sqlite3
from collections import defaultdict
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from dagcall.testing.promises import StoredRun, entries_of_rows, retries_of_plan

_RUNS = "SELECT run, dag_id, run_id, state, outcome, caller, idempotency_key, plan_version FROM runs ORDER BY run"
_PLANS = "SELECT dag_id, version, plan FROM plans"


def of_sqlite(path: Path) -> list[StoredRun]:
    """Raises `AssertionError` when records belong to no run."""
    connection = sqlite3.connect(f"file:{path}?mode=ro", uri=True)
    try:
        records = "SELECT entry >> 32, entry & 4294967295, time, kind, data, event FROM records ORDER BY entry"
        return _stored(*(connection.execute(query).fetchall() for query in (_RUNS, _PLANS, records)))
    finally:
        connection.close()


async def of_postgres(url: str, schema: str = "dagcall") -> list[StoredRun]:
    """Likewise. Needs asyncpg."""
    import asyncpg

    connection = await asyncpg.connect(url, server_settings={"search_path": schema})
    try:
        records = "SELECT run, id, time, kind, data, event FROM records ORDER BY run, id"
        return _stored(*[await connection.fetch(query) for query in (_RUNS, _PLANS, records)])
    finally:
        await connection.close()


def _stored(runs: Iterable[Any], plans: Iterable[Any], records: Iterable[Any]) -> list[StoredRun]:
    retries = {(dag_id, version): retries_of_plan(plan) for dag_id, version, plan in plans}
    rows: defaultdict[int, list[Any]] = defaultdict(list)
    for run, *row in records:
        rows[run].append(row)
    stored = [
        StoredRun(
            dag_id, run_id, state, outcome, caller, key, entries_of_rows(rows.pop(run, [])), retries[dag_id, version]
        )
        for run, dag_id, run_id, state, outcome, caller, key, version in runs
    ]
    assert not rows, f"records of the runs {sorted(rows)}, which do not exist"
    return stored
