"""What the README says is what happens: its DAG, its calls, its commands."""

import json
import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

import dagcall

from .conftest import ServerFactory
from .serving import Server

ROOT = Path(__file__).parents[2]
README = (ROOT / "README.md").read_text()


def blocks(language: str) -> list[str]:
    return re.findall(rf"```{language}\n(.*?)```", README, re.DOTALL)


@pytest.fixture
def served(serve: ServerFactory, tmp_path: Path) -> Server:
    """The README's DAG, served."""
    folder = tmp_path / "dags"
    folder.mkdir()
    (folder / "greet.py").write_text(next(block for block in blocks("python") if "@dag" in block))
    return serve(dags=folder)


def test_its_dag_answers_its_python_call(served: Server) -> None:
    call = next(block for block in blocks("python") if "client.call" in block)
    *setup, expression = call.replace("http://127.0.0.1:8274", served.url).strip().splitlines()
    code, _, expected = expression.partition("#")
    namespace: dict[str, object] = {}
    exec("\n".join(setup), namespace)
    client = namespace["client"]
    assert isinstance(client, dagcall.Client)
    with client:
        assert repr(eval(code.strip(), namespace)) == expected.strip()


def test_its_dag_answers_its_curl_call(served: Server) -> None:
    command = next(block for block in blocks("sh") if block.startswith("curl")).replace(":8274", f":{served.port}")
    answer = subprocess.run(
        ["sh", "-c", f"curl -s {command.strip().removeprefix('curl')}"], capture_output=True, text=True
    )
    assert json.loads(answer.stdout) == "Hello, Ada!"


def test_its_engine_needs_no_server() -> None:
    call = next(line for line in README.splitlines() if "dagcall.Engine" in line)
    statement = re.search(r"`(with .*?)`", call)
    assert statement is not None
    code = "import dagcall\n" + statement[1].replace("engine.call(", "print(engine.call(", 1) + ")"
    answer = subprocess.run([sys.executable, "-c", code], cwd=ROOT, env=environment(), capture_output=True, text=True)
    assert answer.returncode == 0, answer.stderr
    assert "'sources'" in answer.stdout


def test_make_demo_shows_an_answer_with_sources_and_its_time() -> None:
    demo = subprocess.run(
        [sys.executable, "scripts/demo.py"], cwd=ROOT, env=environment(), capture_output=True, text=True
    )
    assert demo.returncode == 0, demo.stderr
    assert re.search(r"Sources:\n +- ", demo.stdout)
    assert re.search(r"[\d.]+ ms at p50", demo.stdout)


def test_its_options_are_those_of_dagcall_serve() -> None:
    usage = subprocess.run(
        [sys.executable, "-m", "dagcall.cli", "serve", "--help"], env=environment(), capture_output=True
    )
    line = next(block for block in blocks("sh") if block.startswith("dagcall serve"))
    for option in re.findall(r"--\w+", line):
        assert option in usage.stdout.decode()


def environment() -> dict[str, str]:
    """Like a user's, but that nothing of theirs is touched."""
    return os.environ | {"PYTHONPATH": str(ROOT / "src")}
