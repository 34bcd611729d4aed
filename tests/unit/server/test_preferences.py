"""Prefer (RFC 7240) and Accept (RFC 9110)."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from dagcall.errors import NotAcceptable
from dagcall.server.accept import JSON, NDJSON, SSE, negotiate
from dagcall.server.preferences import Preferences, Wait, decide_wait, parse_prefer


@pytest.mark.parametrize(
    "values, expected",
    [
        ([], Preferences()),
        (["wait=10"], Preferences(10.0)),
        (["Wait = 10"], Preferences(10.0)),
        (['wait="10"'], Preferences(10.0)),
        (["respond-async, wait=2"], Preferences(2.0, True)),
        (["respond-async", "wait=2"], Preferences(2.0, True)),
        (["wait=1, wait=2"], Preferences(1.0)),
        (["wait=2; foo=bar"], Preferences(2.0)),
        (['foo="a, wait=9", wait=3'], Preferences(3.0)),
        (["return=minimal"], Preferences()),
        (["wait=1.5"], Preferences(1.5)),
        (["wait=-1"], Preferences()),
        (["wait=soon"], Preferences()),
        (["wait"], Preferences()),
        (["wait=\u0661"], Preferences()),
    ],
)
def test_parse(values: list[str], expected: Preferences) -> None:
    assert parse_prefer(values) == expected


@given(st.lists(st.text()))
def test_parse_takes_anything(values: list[str]) -> None:
    wait = parse_prefer(values).wait
    assert wait is None or 0 <= wait < 1e9 + 1


def test_query_goes_before_the_header_and_the_server_has_the_last_word() -> None:
    assert decide_wait(Preferences(9.0), 2.0, 30.0, 300.0) == Wait(2.0, False, "wait=2")
    assert decide_wait(Preferences(900.0), None, 30.0, 300.0) == Wait(300.0, False, "wait=300")
    assert decide_wait(Preferences(), None, 30.0, 300.0) == Wait(30.0, False, "wait=30")
    assert decide_wait(Preferences(None, True), None, 30.0, 300.0) == Wait(0.0, True, "respond-async")
    assert decide_wait(Preferences(4.0, True), None, 30.0, 300.0) == Wait(4.0, False, "respond-async, wait=4")


@pytest.mark.parametrize(
    "accept, expected",
    [
        ("", JSON),
        ("*/*", JSON),
        ("application/json", JSON),
        ("application/*", JSON),
        ("text/event-stream", SSE),
        ("application/x-ndjson, */*", NDJSON),
        ("text/html,application/xhtml+xml,*/*;q=0.8", JSON),
        ("application/json;q=0.1, text/event-stream;q=0.9", SSE),
        ("text/event-stream;q=0, */*", JSON),
        ("application/json, text/event-stream", JSON),
    ],
)
def test_negotiate(accept: str, expected: str) -> None:
    assert negotiate(accept, (JSON, NDJSON, SSE)) == expected


@pytest.mark.parametrize("accept", ["text/html", "application/json;q=0", ";;;", "*/*;q=x"])
def test_negotiate_refuses(accept: str) -> None:
    with pytest.raises(NotAcceptable):
        negotiate(accept, (JSON,))
