"""The folder of the examples as stock Airflow sees it."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

from .conftest import EXAMPLES

DAGS = EXAMPLES / "dags"

# Runs in a process of its own, because Airflow reads its configuration once, when it is imported.
LIST_FILES = """
import json, pathlib, sys
from airflow.dag_processing.dagbag import BundleDagBag

folder = pathlib.Path(sys.argv[1])
bag = BundleDagBag(folder, bundle_path=folder, bundle_name="dags-folder")
files = {str(pathlib.Path(stat.file.lstrip("/"))): stat.dag_num for stat in bag.dagbag_stats}
pathlib.Path(sys.argv[2]).write_text(json.dumps({"files": files, "errors": bag.import_errors}))
"""


def test_helper_packages_are_not_taken_for_dag_files(stock_environment: dict[str, str], tmp_path: Path) -> None:
    out = tmp_path / "files.json"
    done = subprocess.run(
        [sys.executable, "-c", LIST_FILES, str(DAGS), str(out)],
        env=stock_environment,
        cwd=tmp_path,
        capture_output=True,
        text=True,
        timeout=120,
    )
    assert done.returncode == 0, done.stderr[-4000:]
    found = json.loads(out.read_text())
    assert found["errors"] == {}
    assert found["files"] == {path.name: 1 for path in DAGS.glob("*.py")}
    assert any(path.name.endswith("_lib") for path in DAGS.iterdir())


def test_the_readme_names_every_example() -> None:
    readme = (EXAMPLES / "README.md").read_text()
    for path in DAGS.glob("*.py"):
        assert f"(dags/{path.name})" in readme
        assert f"\n## `{path.stem}`" in readme
        assert (EXAMPLES / "callers" / path.name).exists()
