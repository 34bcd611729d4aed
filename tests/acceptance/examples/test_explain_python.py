"""`explain_python` as its section in the README has it, and its page as a browser uses it."""

import json
import os
import subprocess
import sys
from collections.abc import Iterator

import httpx
import pytest

import dagcall

from ..serving import Server
from .sections import ROOT, Command, commands, run

BROWSER = ROOT / "tests" / "acceptance" / "browser"
CHROMIUM = BROWSER / "node_modules" / ".chromium" / "chromium"
QUESTION = {"question": "What does the with statement do?", "key": "page-1"}


@pytest.fixture
def page(examples: Server) -> Iterator[str]:
    """The address of the page."""
    process = subprocess.Popen(
        [sys.executable, str(ROOT / "examples" / "callers" / "explain_python.py"), "--page", "0"],
        env=os.environ | {"DAGCALL_URL": examples.url, "PYTHONPATH": str(ROOT / "src")},
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        text=True,
    )
    try:
        assert process.stdout is not None
        yield process.stdout.readline().strip()
    finally:
        process.kill()
        process.communicate()


def events(text: str) -> list[tuple[int, str, dict[str, object]]]:
    """As an EventSource reads them: (id, event, data)."""
    found = []
    for block in text.split("\n\n"):
        fields = dict(line.split(": ", 1) for line in block.splitlines() if not line.startswith(":"))
        if "data" in fields:
            found.append((int(fields["id"]), fields["event"], json.loads(fields["data"])["data"]))
    return found


@pytest.mark.parametrize("command", commands("explain_python"), ids=["cli", "caller"])
def test_the_readme_tells_what_happens(examples: Server, command: Command) -> None:
    assert command.prints
    run(command, examples)


def test_the_page_is_ten_lines_and_shows_what_is_said(page: str) -> None:
    html = httpx.get(page).text
    assert html.count("\n") <= 10
    with httpx.stream("GET", f"{page}/ask", params=QUESTION, timeout=60) as answer:
        assert answer.headers["Content-Type"].startswith("text/event-stream")
        seen = events("".join(answer.iter_text()))
    assert [number for number, _, _ in seen] == list(range(1, len(seen) + 1))
    said = "".join(str(data["value"]) for _, event, data in seen if event == "chunk")
    result = next(data["value"] for _, event, data in seen if event == "result")
    assert isinstance(result, dict)
    assert said == result["answer"]
    # A browser whose connection breaks asks again, until it is told that there is nothing more.
    with httpx.stream("GET", f"{page}/ask", params=QUESTION, headers={"Last-Event-ID": "5"}, timeout=60) as answer:
        assert events("".join(answer.iter_text())) == seen[5:]
    over = httpx.get(f"{page}/ask", params=QUESTION, headers={"Last-Event-ID": str(len(seen))}, timeout=60)
    assert over.status_code == 204


@pytest.mark.skipif(not CHROMIUM.exists(), reason="no browser: `make browser`, which needs node and npm")
def test_a_browser_shows_the_answer_while_it_is_written(examples: Server, page: str) -> None:
    question = QUESTION["question"]
    said = examples.value("explain_python", question=question)["answer"]
    command = ["node", str(BROWSER / "page.mjs"), str(CHROMIUM), page, examples.url, question, said]
    libraries = {"LD_LIBRARY_PATH": str(CHROMIUM.parent / "al2023" / "lib")}
    used = subprocess.run(command, env=os.environ | libraries, capture_output=True, text=True, timeout=60, check=False)
    assert used.returncode == 0, used.stderr
    seen = json.loads(used.stdout)
    shown = [text for text in seen["shown"] if text]
    assert len(shown) > 10
    assert all(said.startswith(text) for text in shown)
    assert shown == sorted(shown, key=len)
    assert seen["foreign"] == "TypeError"  # pages of other origins cannot call the server: hence the page has its own


def test_with_a_deadline_it_is_shorter(examples: Server) -> None:
    with dagcall.Client(examples.url) as client:
        asked = client.with_options(timeout=3)
        answer = asked.call("explain_python", question="How do I format a string?", words=1000, tokens_per_second=50)
    assert 0 < answer["tokens"] < 150


def test_a_question_about_nothing(examples: Server) -> None:
    assert examples.call("explain_python", question="xyzzy").status_code == 404
