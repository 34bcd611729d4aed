"""The import contracts hold (`make check`), and each of them bites: a copy with a breach for each is refused for all."""

import os
import re
import shutil
import subprocess
import sys
import tomllib
from pathlib import Path

BREACHES = {
    "layers": ("core", "import dagcall.coordinator"),
    "airflow": ("server", "def later() -> None:\n    from airflow.sdk import dag"),
    "bridge-is-named": ("compose", "from dagcall.airflow_bridge import breach"),
    "pure": ("model", "import time"),
    "protocols": ("coordinator", "import dagcall.journal.breach"),
    "edges": ("workers", "import dagcall.journal"),
    "bridge": ("airflow_bridge", "import dagcall.core"),
    "client": ("client", "import msgspec"),
    "provider": ("provider", "import dagcall.coordinator"),
    "provider-is-named": ("server", "import dagcall.provider.breach"),
}
OUTCOMES = re.compile(r"^(.+?) (KEPT|BROKEN)(?: \(|$)", re.M)


def lint(project: Path) -> dict[str, str]:
    """Checks the contracts of a project folder; their names and KEPT or BROKEN."""
    command = [Path(sys.executable).with_name("lint-imports"), "--config", project / "pyproject.toml", "--no-cache"]
    environment = {**os.environ, "PYTHONPATH": str(project / "src"), "COLUMNS": "300", "NO_COLOR": "1"}
    finished = subprocess.run(command, cwd=project, env=environment, capture_output=True, text=True, check=False)
    outcomes = dict(OUTCOMES.findall(finished.stdout))
    assert outcomes, finished.stdout + finished.stderr
    return outcomes


def test_each_contract_is_broken_by_its_breach(root: Path, tmp_path: Path) -> None:
    contracts = tomllib.loads((root / "pyproject.toml").read_text())["tool"]["importlinter"]["contracts"]
    names = {contract["id"]: contract["name"] for contract in contracts}
    assert set(names) == set(BREACHES), "a new contract needs a breach here"

    shutil.copy(root / "pyproject.toml", tmp_path)
    shutil.copytree(root / "src", tmp_path / "src", ignore=shutil.ignore_patterns("__pycache__"))
    package = tmp_path / "src" / "dagcall"
    assert set(lint(tmp_path).values()) == {"KEPT"}

    (package / "journal" / "breach.py").touch()
    for place, code in BREACHES.values():
        module = package / place / "breach.py" if (package / place).is_dir() else package / f"{place}.py"
        with module.open("a") as file:
            file.write(f"\n{code}\n")
    assert lint(tmp_path) == dict.fromkeys(names.values(), "BROKEN")
