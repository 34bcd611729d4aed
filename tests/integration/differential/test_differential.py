"""A bounded number of generated DAGs, each run under stock Airflow and here. `make differential N=2000` for more."""

import subprocess
import sys
from pathlib import Path

import pytest

SEEDS = "0:24"


@pytest.mark.timeout(400)
def test_generated_dags_end_as_in_stock_airflow() -> None:
    command = [sys.executable, str(Path(__file__).with_name("run.py")), SEEDS]
    comparison = subprocess.run(command, capture_output=True, text=True, check=False)
    assert comparison.returncode == 0, comparison.stdout[-8000:] + comparison.stderr[-4000:]
    assert "\n24 DAGs, 0 differ\n" in comparison.stdout
