"""The figures on the README's first screen are those of the last full benchmark."""

import json
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]


def test_the_measured_table_is_that_of_the_last_full_run(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.syspath_prepend(str(ROOT / "bench"))
    for name in ("readme", "report"):
        monkeypatch.delitem(sys.modules, name, raising=False)
    import readme

    found = json.loads(readme.LATEST.read_text())
    if found["details"]["quick"]:
        pytest.skip("bench/results/latest.json is of `make bench QUICK=1`, which leaves stock Airflow out")
    block = readme.BLOCK.search(readme.README.read_text())
    assert block is not None
    assert block[0] == readme.table(found), "run: python bench/readme.py"
