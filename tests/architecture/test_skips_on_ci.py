"""tests/conftest.py's rules, seen from outside: a small project with that conftest."""

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

MODULE = """
import pytest

def test_runs(): pass

@pytest.mark.skip(reason="no such machine")
def test_skipped(): pass

@pytest.mark.xfail(reason="known")
def test_expected_to_fail(): assert False
"""
SKIPPED_MODULE = 'import pytest\npytest.skip("no such library", allow_module_level=True)\n'


@pytest.fixture
def project(root: Path, tmp_path: Path) -> Path:
    for folder, module in {"unit": MODULE, "acceptance": SKIPPED_MODULE}.items():
        (tmp_path / "tests" / folder).mkdir(parents=True)
        (tmp_path / "tests" / folder / f"test_{folder}.py").write_text(module)
    shutil.copy(root / "tests" / "conftest.py", tmp_path / "tests")
    shutil.copy(root / "pyproject.toml", tmp_path)
    return tmp_path


def run_pytest(project: Path, *arguments: str, ci: bool) -> subprocess.CompletedProcess[str]:
    environment = {name: value for name, value in os.environ.items() if name != "CI"} | ({"CI": "true"} if ci else {})
    command = [sys.executable, "-m", "pytest", "-p", "no:cacheprovider", *arguments, "tests"]
    return subprocess.run(command, cwd=project, env=environment, capture_output=True, text=True, check=False)


def test_a_skip_is_told_but_passes_elsewhere(project: Path) -> None:
    finished = run_pytest(project, ci=False)
    assert finished.returncode == 0, finished.stdout
    assert "1 passed, 2 skipped, 1 xfailed" in finished.stdout.splitlines()[-1]


def test_a_skipped_test_fails_on_ci_with_its_reason(project: Path) -> None:
    finished = run_pytest(project, "--ignore=tests/acceptance", ci=True)
    assert finished.returncode == 1
    assert "no such machine (CI is set" in finished.stdout
    assert "1 passed, 1 xfailed, 1 error" in finished.stdout.splitlines()[-1]


def test_a_skipped_module_fails_on_ci_with_its_reason(project: Path) -> None:
    finished = run_pytest(project, ci=True)
    assert finished.returncode != 0
    assert "no such library (CI is set" in finished.stdout


def test_the_folder_is_the_mark(project: Path) -> None:
    finished = run_pytest(project, "-m", "unit and not acceptance", ci=False)
    assert "1 passed, 2 skipped, 1 xfailed" in finished.stdout.splitlines()[-1]
