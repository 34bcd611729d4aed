"""A bounded number of random DAGs, each in all states it can reach. `make test-outcome N=10000` for more."""

import subprocess
import sys
from pathlib import Path

import pytest

SEEDS = "0:150"


@pytest.mark.timeout(400)
def test_an_outcome_is_told_when_it_is_certain_not_before_and_not_after() -> None:
    command = [sys.executable, str(Path(__file__).with_name("run.py")), SEEDS]
    comparison = subprocess.run(command, capture_output=True, text=True, check=False)
    assert comparison.returncode == 0, comparison.stdout[-8000:] + comparison.stderr[-4000:]
    assert ", 0 with violations" in comparison.stdout
