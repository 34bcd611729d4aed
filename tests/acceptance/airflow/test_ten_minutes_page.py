"""docs/ten-minutes.md, followed step by step beside a real Airflow."""

import os
import re
import sys
from pathlib import Path

from dagcall.testing.ports import free_port

from ..pages import ROOT, Page
from .conftest import DAGS, Airflow


def test_a_reader_of_the_page_gets_what_it_says(airflow: Airflow, tmp_path: Path) -> None:
    port, user = str(free_port()), "ursula"
    page = Page(
        "ten-minutes.md",
        {
            "8274": port,
            "http://localhost:8080": airflow.url,
            '"username": "ada", "password": "secret"': f'"username": "{user}", "password": "{airflow.passwords[user]}"',
            "user_name_pattern=ada": f"user_name_pattern={user}",
            "\nada\n": f"\n{user}\n",
        },
    )
    home = tmp_path / "home"
    known = {name: value for name, value in os.environ.items() if not name.startswith(("AIRFLOW", "DAGCALL"))}
    own = {
        "AIRFLOW_HOME": str(home),
        "AIRFLOW__DAGCALL__PORT": port,
        "DAGCALL_URL": f"http://localhost:{port}",
        "PATH": f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}",
        "PYTHONPATH": str(ROOT / "src"),
    }
    # The reader looks at the DAG before it is served; this Airflow has one of the same name already.
    (home / "dags").mkdir(parents=True)
    dag = next(block for kind, block in page.blocks if kind == "python")
    (home / "dags" / "greeting.py").write_text(dag)
    assert re.search(r'DAG\("(\w+)"', dag)[1] in (DAGS / "recorded.py").read_text()  # type: ignore[index]
    page.follow(tmp_path, home / "dags" / "greeting.py", home / "airflow.cfg", known | airflow.environment | own)
