"""The server is killed at named points of its code (`dagcall.crashpoints`), under load, again and again.

By default at a few of them; `make test-crashes` at each, on SQLite and on PostgreSQL.
"""

import asyncio
import os
from collections import Counter
from pathlib import Path

import pytest

from dagcall.crashpoints import POINTS
from dagcall.testing import stored_runs
from dagcall.testing.postgres_server import PostgresServer
from dagcall.testing.promises import StoredRun

from ..serving import SOURCE, know_children
from .sweep import FORGETTING, Sweep, points_in

IS_LONG = bool(os.environ.get("CRASHES"))
SHORT = (("journal.committed", 9), ("attempt.started", 5))
"""A few of them; the sweep of all takes 15 minutes."""
COUNTS = {"server.opened": (1,), "recovery.begins": (1,), "recovery.done": (1,), "recovery.resumes": (1,)}
"""How often a point is passed before the kill at it; of all others:"""
USUAL_COUNTS = (1, 4)

pytestmark = pytest.mark.timeout(3600 if IS_LONG else 120)


def test_every_point_has_its_place_in_the_source_and_none_is_swept_in_vain() -> None:
    assert points_in(SOURCE) == set(POINTS)


def kill_everywhere(sweep: Sweep) -> None:
    for point in sorted(POINTS, key=lambda name: name.startswith("recovery.")):  # once there is something to recover
        if not point.startswith(FORGETTING):
            for count in COUNTS.get(point, USUAL_COUNTS):
                sweep.kill_at(point, count)
    assert sweep.finish() == []
    told = Counter(one.what for one in sweep.log.told)
    print(f"{len(sweep.kills)} kills, {sum(told.values())} answers {dict(told)}, {len(sweep.callbacks())} callbacks")
    for point in POINTS:
        if point.startswith(FORGETTING):
            sweep.kill_at(point, 1)
            assert sweep.forgotten() == []
    assert sweep.unreached == []


def test_sqlite(tmp_path: Path) -> None:
    """P1 to P6, P9, after kills at a few points; in the long form at each."""
    file = tmp_path / "journal.db"
    sweep = Sweep(tmp_path, f"sqlite:///{file}", lambda: stored_runs.of_sqlite(file))
    if IS_LONG:
        kill_everywhere(sweep)
        return
    for point, count in SHORT:
        sweep.kill_at(point, count)
    assert sweep.finish() == []
    assert sweep.unreached == []


if IS_LONG:

    def test_postgres(tmp_path: Path, postgres: PostgresServer) -> None:
        def read() -> list[StoredRun]:
            return asyncio.run(stored_runs.of_postgres(postgres.url()))

        know_children()  # the database is one
        kill_everywhere(Sweep(tmp_path, postgres.url(), read))
