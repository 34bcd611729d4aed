"""Run the tests that touch Airflow on other patch releases of it than that of the lock files: `make test-versions`.

    python scripts/versions.py [VERSION...]    default: the oldest and the newest that `pyproject.toml` allows

Each version has an environment of its own, below `.cache/versions`, kept for the next time: the locked packages, as
far as that Airflow goes together with them. What is run: that all private names are there; a call through every kind of task; and Airflow's REST
API with that version's own document.
"""

import os
import re
import subprocess
import sys
import tomllib
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parent))

from bootstrap import PYTHON, REQUIREMENTS, ROOT, UV, fetch_uv, uv_environment

FOLDER = ROOT / ".cache" / "versions"
TESTS = (
    "tests/integration/bridge/test_private_names.py",
    "tests/integration/bridge/test_memo.py",
    "tests/integration/runs",
    "tests/acceptance/contract/test_airflow_api.py",
    "tests/acceptance/contract/test_airflows_own_client.py",
    "tests/acceptance/contract/test_outcomes.py",
)


def main(arguments: list[str]) -> int:
    failed = []
    for version in arguments or supported():
        print(f"== Apache Airflow {version}", flush=True)
        python = install(version)
        if subprocess.run([python, "-m", "pytest", "-q", *TESTS], cwd=ROOT, check=False).returncode:
            failed.append(version)
    if failed:
        print(f"failed: {', '.join(failed)}", file=sys.stderr)
    return 1 if failed else 0


def supported() -> list[str]:
    """The oldest and the newest; one, while they are the same."""
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())
    (wanted,) = (
        one for one in project["project"]["optional-dependencies"]["server"] if one.startswith("apache-airflow>")
    )
    oldest = re.search(r">=([\d.]+)", wanted)
    assert oldest is not None, wanted
    return list(dict.fromkeys((oldest[1], newest(wanted))))


def newest(wanted: str) -> str:
    """The newest release that the index has."""
    resolved = uv("pip", "compile", "--quiet", "--no-deps", "--no-header", "--no-annotate", "-", input=wanted)
    return resolved.strip().partition("==")[2]


def install(version: str) -> Path:
    """The interpreter of an environment with that Airflow, and else with what is locked, as far as they go together."""
    environment = FOLDER / version
    python = environment / "bin" / "python"
    FOLDER.mkdir(parents=True, exist_ok=True)
    override, wanted = FOLDER / f"{version}.in", FOLDER / f"{version}.txt"
    override.write_text(f"apache-airflow=={version}\n")
    if not wanted.exists():  # what stands in the output file is preferred
        wanted.write_text((REQUIREMENTS / "dev.txt").read_text())
    what = ("--extra", "server", "--extra", "postgres", "--group", "dev", "--override", str(override))
    uv("pip", "compile", "--quiet", "--python", PYTHON, *what, "pyproject.toml", "--output-file", str(wanted))
    if not python.exists():
        uv("venv", "--quiet", "--python", PYTHON, str(environment))
    uv("pip", "sync", "--quiet", "--python", str(python), str(wanted))
    checkout = ("--offline", "--no-deps", "--no-build-isolation", "--editable", f"{ROOT}[server]")
    uv("pip", "install", "--quiet", "--python", str(python), *checkout)
    return python


def uv(*arguments: str, input: str | None = None) -> str:
    fetch_uv()
    done = subprocess.run(
        [UV, *arguments], env=uv_environment(), input=input, stdout=subprocess.PIPE, text=True, check=True
    )
    return done.stdout


if __name__ == "__main__":
    os.chdir(ROOT)
    sys.exit(main(sys.argv[1:]))
