"""The server's messages as JSON lines."""

import json
import logging
import sys
from typing import Any

from dagcall.model.ids import RunKey
from dagcall.server.logs import JsonLines

KEY = RunKey("d", "r")


def line(message: str, *args: object, exc_info: Any = None, **extra: object) -> dict[str, Any]:
    record = logging.LogRecord("dagcall.x", logging.WARNING, "f.py", 1, message, args, exc_info)
    record.__dict__ |= extra
    text = JsonLines({KEY: "a" * 32}.get).format(record)
    assert "\n" not in text
    found: dict[str, Any] = json.loads(text)
    return found


def test_a_message_has_airflows_fields() -> None:
    found = line('it "is"\n%s', "so")
    assert found.pop("timestamp").endswith("+00:00")
    assert found == {"level": "warning", "logger": "dagcall.x", "event": 'it "is"\nso'}


def test_a_message_about_a_run_says_which_and_in_which_trace() -> None:
    assert line("run %s: %s", KEY, "gone").items() >= {"dag_id": "d", "run_id": "r", "trace_id": "a" * 32}.items()
    assert "trace_id" not in line("run %s", RunKey("d", "other"))


def test_what_a_message_brings_and_what_was_raised() -> None:
    try:
        raise ValueError("no")
    except ValueError:
        found = line("failed", exc_info=sys.exc_info(), fields={"seconds": 1.5, "odd": {1}})
    assert found["seconds"] == 1.5
    assert found["exception"].endswith("ValueError: no")
    assert found["odd"] == "{1}"


def test_a_mapping_as_argument_is_no_run() -> None:
    assert line("%(a)s", {"a": 1})["event"] == "1"
