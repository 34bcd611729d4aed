"""docs/standalone.md, followed step by step."""

import os
import sys
from pathlib import Path

from dagcall.testing.ports import free_port

from .pages import ROOT, Page


def test_a_reader_of_the_page_gets_what_it_says(tmp_path: Path) -> None:
    port = str(free_port())
    page = Page("standalone.md", {"8274": port, "0.0.0.0": "127.0.0.1"})
    known = {name: value for name, value in os.environ.items() if not name.startswith(("AIRFLOW", "DAGCALL"))}
    own = {
        "AIRFLOW__DAGCALL__PORT": port,
        "DAGCALL_URL": f"http://localhost:{port}",
        "PATH": f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}",
        "PYTHONPATH": str(ROOT / "src"),
    }
    page.follow(tmp_path, tmp_path / "dags" / "greet.py", tmp_path / "home" / "airflow.cfg", known | own)
