"""The example `ask_astro`: its section of the README, and how its caller's script ends."""

import os
import subprocess
import sys

from ..serving import Server
from .sections import ROOT, commands, run


def ask(url: str, *words: str) -> "subprocess.CompletedProcess[str]":
    return subprocess.run(
        [sys.executable, "examples/callers/ask_astro.py", *words],
        cwd=ROOT,
        env=os.environ | {"DAGCALL_URL": url, "PYTHONPATH": str(ROOT / "src")},
        capture_output=True,
        text=True,
        timeout=60,
    )


def test_the_readme_is_what_happens(examples: Server) -> None:
    for command in commands("ask_astro"):
        run(command, examples)


def test_the_script_says_so_when_there_is_no_answer(examples: Server) -> None:
    done = ask(examples.url, "What", "is", "the", "capital", "of", "France?")
    assert done.returncode == 0
    assert done.stdout.startswith("Airflow's own documentation does not answer this question.\n")
    assert "\n- " not in done.stdout


def test_the_script_without_a_question_says_how_to_ask(examples: Server) -> None:
    done = ask(examples.url)
    assert (done.returncode, done.stdout) == (2, "")
    assert "For example" in done.stderr


def test_the_script_without_a_server_says_so_in_one_line() -> None:
    done = ask("http://127.0.0.1:1", "Where are logs stored?")
    assert (done.returncode, done.stdout) == (1, "")
    assert done.stderr.startswith("The question was not answered: No answer from http://127.0.0.1:1")
    assert len(done.stderr.splitlines()) == 1
