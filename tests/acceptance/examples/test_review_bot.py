"""`review_bot` over HTTP and by its chat script, as examples/README.md says it."""

from __future__ import annotations

import ast
import os
import re
import subprocess
import sys
from importlib.metadata import distribution
from pathlib import Path

import pytest

from ..serving import Server
from .sections import ROOT, Command, commands, run

CHAT = ROOT / "examples" / "callers" / "review_bot.py"
TOPICS = [
    "python",
    "JSON schema",
    "performance",
    "windows",
    "type hints",
    "wheels",
    "serialization",
    "deprecated",
    "xyzzy",
    "memry leek",
]


@pytest.mark.parametrize("command", commands("review_bot"), ids=lambda command: command.text.split()[0])
def test_its_commands_print_what_the_readme_says(command: Command, examples: Server) -> None:
    assert run(command, examples)


def test_the_chat_script_is_short() -> None:
    _, *statements = ast.parse(CHAT.read_text()).body  # without the docstring
    first = statements[0].lineno
    code = [line for line in CHAT.read_text().splitlines()[first - 1 :] if line.strip()]
    assert len(code) <= 20


def test_counts_agree_and_quotes_stand_in_the_metadata_of_the_package(examples: Server) -> None:
    answer = examples.value("review_bot", topic="python", max_points=10)
    assert answer["found"] == sum(answer["packages"].values()) == sum(answer["kinds"].values()) > 10
    assert len(answer["packages"]) > 1
    assert len(answer["points"]) == 10
    for point in answer["points"]:
        for source in point["sources"]:
            assert source["package"] in answer["packages"]
            release_notes = distribution(source["package"]).metadata["Description"]
            assert source["version"] in release_notes
        first = distribution(point["sources"][0]["package"]).metadata["Description"]
        assert set(re.findall(r"\w+", point["text"])) <= set(re.findall(r"\w+", first))
        assert point["sources"][0]["version"] in answer["summary"]


def test_params_narrow_it_and_are_checked(examples: Server) -> None:
    answer = examples.value("review_bot", topic="python", package="pydantic", since="2025-06-01", max_points=1)
    assert answer["packages"] == {"pydantic": answer["found"]}
    assert len(answer["points"]) == 1
    assert answer["dates"][0] >= "2025-06-01"
    for wrong in ({"package": "nobody"}, {"since": "yesterday"}, {"max_points": 0}, {"topic": " "}):
        refused = examples.call("review_bot", **{"topic": "python"} | wrong)
        assert refused.status_code == 422
        assert [error["field"] for error in refused.json()["errors"]] == list(wrong)


def test_the_branch_not_taken_is_skipped(examples: Server) -> None:
    found = examples.task_states(examples.call("review_bot", topic="pydantic").headers["Location"])
    assert (found["suggest"], found["summarise"]) == ("skipped", "success")
    nothing = examples.task_states(examples.call("review_bot", topic="xyzzy").headers["Location"])
    assert (nothing["suggest"], nothing["summarise"]) == ("success", "success")
    assert nothing.get("digest_package", "skipped") == "skipped"


def test_users_who_chat_at_once_each_get_their_own_topics(examples: Server) -> None:
    expected = {topic: examples.value("review_bot", topic=topic)["summary"] for topic in TOPICS}
    assert len(set(expected.values())) == len(TOPICS)
    environment = os.environ | {"DAGCALL_URL": examples.url, "PYTHONPATH": str(Path(ROOT, "src"))}
    chats = [
        subprocess.Popen(
            [sys.executable, str(CHAT)],
            env=environment,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )
        for _ in TOPICS
    ]
    asked = [[*TOPICS[user:], *TOPICS[:user]] for user in range(len(TOPICS))]  # nobody in the order of another
    for chat, topics in zip(chats, asked, strict=True):
        assert chat.stdin is not None
        chat.stdin.write("\n\n".join(topics))  # neither the empty lines nor the last one without an end matter
        chat.stdin.close()
        chat.stdin = None
    for chat, topics in zip(chats, asked, strict=True):
        said, problems = chat.communicate(timeout=90)
        assert (chat.returncode, problems) == (0, "")
        assert said == "".join(f"{expected[topic]}\n\n" for topic in topics)


def test_the_chat_ends_with_a_sentence_when_nobody_answers() -> None:
    chat = subprocess.run(
        [sys.executable, str(CHAT)],
        env=os.environ | {"DAGCALL_URL": "http://127.0.0.1:9", "PYTHONPATH": str(ROOT / "src")},
        input="python\n",
        capture_output=True,
        text=True,
        timeout=60,
    )
    assert chat.returncode == 1
    assert chat.stdout == ""
    assert chat.stderr.startswith("The review bot cannot answer: ")
    assert "Traceback" not in chat.stderr
