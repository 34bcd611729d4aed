"""`airflow` itself, in an environment in which dagcall is installed."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

pytest.importorskip("airflow")

from dagcall.options import NAMES

AIRFLOW = str(Path(sys.executable).with_name("airflow"))
START = """
import runpy, sys
sys.argv = ["airflow", "version"]
try:
    runpy.run_module("airflow", run_name="__main__")
finally:
    print(*sorted(name for name in sys.modules if name.partition(".")[0] in ("dagcall", "httpx")))
"""


def run(home: Path, *command: str) -> "subprocess.CompletedProcess[str]":
    inherited = {name: value for name, value in os.environ.items() if not name.startswith(("AIRFLOW", "DAGCALL"))}
    environment = inherited | {
        "AIRFLOW_HOME": str(home),
        "COLUMNS": "200",
        "AIRFLOW__DAGCALL__URL": "http://127.0.0.1:1",
    }
    return subprocess.run(command, env=environment, capture_output=True, text=True, check=False)


def test_airflow_knows_the_section_and_its_defaults(tmp_path: Path) -> None:
    done = run(tmp_path, AIRFLOW, "config", "list", "--section", "dagcall", "--show-values", "--defaults")
    assert done.returncode == 0, done.stderr
    for name in NAMES:
        assert f"\n# {name} = " in done.stdout
    assert "\n# port = 8274\n" in done.stdout, done.stdout


def test_its_commands_are_dagcalls_own(tmp_path: Path) -> None:
    helped = run(tmp_path, AIRFLOW, "dagcall", "runs", "list", "--help")
    assert helped.returncode == 0
    assert "usage: airflow dagcall runs list" in helped.stdout
    done = run(tmp_path, AIRFLOW, "dagcall", "runs", "-o", "json")
    assert (done.returncode, done.stdout) == (5, "")
    assert "No answer from http://127.0.0.1:1" in done.stderr


def test_other_commands_do_not_pay_for_it(tmp_path: Path) -> None:
    done = run(tmp_path, sys.executable, "-c", START)
    loaded = set(done.stdout.splitlines()[-1].split())
    assert "dagcall.provider.commands" in loaded
    assert not {name for name in loaded if name.startswith(("dagcall.client", "dagcall.cli", "dagcall.server"))}
