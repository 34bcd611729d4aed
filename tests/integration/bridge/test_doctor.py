"""`dagcall doctor DAGS_FOLDER` over real files, in processes of its own: what it finds, and that it leaves nothing."""

import json
import os
import subprocess
import sys
from pathlib import Path
from textwrap import dedent
from typing import Any

import pytest

from dagcall.airflow_bridge.refusals import reasons
from dagcall.doctor.fixes import CHANGES, REFUSED

FILES = {
    "shell.py": """
        from airflow.providers.standard.operators.bash import BashOperator
        from airflow.sdk import DAG
        with DAG("shell", schedule=None):
            BashOperator(
                task_id="t",
                bash_command="true",
                executor_config={"a": 1},
            )
        """,
    "users.py": """
        from airflow.sdk import dag, result, task
        @dag(schedule=None)
        def as_another():
            @task(run_as_user="root")
            def t(): ...
            t()
        @dag(schedule=None)
        def fine() -> None:
            @result
            @task
            def t() -> int:
                return 1
            t()
        as_another()
        fine()
        """,
    "slow.py": """
        import threading
        import time
        from airflow.sdk import DAG
        import heavy_package
        threading.Thread(target=time.sleep, args=(60,), daemon=True).start()
        with DAG("slow", schedule=None): pass
        """,
    "broken.py": """
        from airflow.sdk import DAG
        import helper
        """,
    "helper.py": """
        # no file of DAGs
        raise LookupError("not here")
        """,
}


def doctor(folder: Path, home: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    elsewhere = folder.parent / "elsewhere"
    elsewhere.mkdir(exist_ok=True)
    (elsewhere / "heavy_package.py").write_text("import time\ntime.sleep(0.5)\n")
    environment = {name: value for name, value in os.environ.items() if not name.startswith(("AIRFLOW", "DAGCALL"))}
    return subprocess.run(
        [sys.executable, "-m", "dagcall.cli", "doctor", str(folder), *arguments],
        env=environment | {"AIRFLOW_HOME": str(home), "PYTHONPATH": f"{elsewhere}{os.pathsep}{Path('src').absolute()}"},
        capture_output=True,
        text=True,
        timeout=110,
        check=False,
    )


def test_every_refusal_has_a_fix_or_none_for_a_reason() -> None:
    assert reasons().keys() == CHANGES.keys() | REFUSED


def test_a_folder(tmp_path: Path) -> None:
    folder, home = tmp_path / "dags", tmp_path / "home"
    folder.mkdir()
    for name, text in FILES.items():
        (folder / name).write_text(dedent(text).lstrip())
    done = doctor(folder, home, "-o", "json")
    assert done.returncode == 1, done.stderr
    report: dict[str, Any] = json.loads(done.stdout)
    dags = {dag["dag_id"]: dag for dag in report["dags"]}
    assert {dag_id: dag["verdict"] for dag_id, dag in dags.items()} == {
        "shell": "change",
        "as_another": "refused",
        "fine": "callable",
        "slow": "callable",
    }
    (change,) = dags["shell"]["stands_in_the_way"]
    assert (change["file"], change["line"], change["fix"]) == ("shell.py", 7, CHANGES["executor_config"])
    (refusal,) = dags["as_another"]["stands_in_the_way"]
    assert (refusal["file"], refusal["line"], refusal["fix"]) == ("users.py", 4, "")
    assert reasons()["run_as_user"] in refusal["what"]
    files = {file["file"]: file for file in report["files"]}
    (error,) = files["broken.py"]["errors"]
    assert (error["file"], error["line"], error["what"]) == ("helper.py", 2, "LookupError: not here")
    slow = files["slow.py"]
    assert slow["dearest"][0][0] == "heavy_package"
    assert slow["seconds"] >= slow["dearest"][0][1] >= 0.5
    assert "`heavy_package`" in slow["advice"][0]["fix"]
    assert (slow["not_forked"][0]["file"], slow["not_forked"][0]["line"]) == ("slow.py", 5)
    assert report["summary"]["callable"] == 2
    assert not home.exists(), "it makes no journal, no database, not even a folder"


@pytest.mark.parametrize("arguments", [[], ["-o", "json"]])
def test_no_folder(tmp_path: Path, arguments: list[str]) -> None:
    done = doctor(tmp_path / "none", tmp_path / "home", *arguments)
    assert (done.returncode, done.stdout) == (2, "")
