"""`make chaos` in short: SQLite, every kind of process once."""

from pathlib import Path

import pytest

from .__main__ import on_sqlite


@pytest.mark.timeout(300)
def test_every_promise_is_kept_when_everything_is_killed(tmp_path: Path) -> None:
    """P1 to P6, P8 to P10."""
    report = on_sqlite(tmp_path, runs=200, kills=6, seed=1)
    print(report)
    assert report.violations == []
    assert report.kills.total() == 6
