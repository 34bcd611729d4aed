"""Following events: order, resuming, ending."""

import json
from dataclasses import replace

import pytest

from dagcall import errors
from dagcall.client._events import SILENCE, EventFollower
from dagcall.client._wire import Broken, Request, Response

STREAM = Response(200, {"content-type": "application/x-ndjson", "dagcall-run-id": "r1"}, b"")
CALL = Request("POST", "/call/d")


def line(number: int, event: str) -> str:
    return json.dumps({"id": number, "event": event, "run_id": "r1", "time": "2026-01-01T00:00:00Z", "data": {}})


def test_a_broken_stream_goes_on_after_the_last_event_seen() -> None:
    follower = EventFollower("d", opening=CALL)
    assert follower.request().method == "POST"
    follower.opened(STREAM)
    assert [follower.feed(line(i, "task")) is not None for i in (1, 2)] == [True, True]
    follower.closed("reset")
    request = follower.request()
    assert (request.method, request.path) == ("GET", "/call/d/r1/events")
    assert request.headers["last-event-id"] == "2"
    follower.opened(STREAM)
    assert follower.feed(line(2, "task")) is None
    assert not follower.is_over()
    assert follower.feed(line(3, "end")) is not None
    assert follower.is_over()


def test_heartbeats_are_no_events() -> None:
    follower = EventFollower("d", run_id="r1")
    assert follower.feed("") is None
    assert follower.feed("  ") is None


def test_it_may_end_at_the_outcome() -> None:
    follower = EventFollower("d", run_id="r1", until_outcome=True)
    assert follower.request().query == (("until", "outcome"),)
    follower.feed(line(1, "result"))
    assert follower.is_over()


def test_no_content_means_that_all_was_seen() -> None:
    follower = EventFollower("d", run_id="r1")
    follower.opened(Response(204, {}, b""))
    assert follower.is_over()


def test_a_call_without_any_answer_is_not_repeated() -> None:
    with pytest.raises(errors.Unreachable, match="its run goes on"):
        EventFollower("d", opening=CALL).closed("reset")


def test_a_call_with_a_key_is_repeated() -> None:
    follower = EventFollower("d", opening=Request("POST", "/call/d", {"idempotency-key": "k"}))
    follower.closed("reset")
    assert follower.request().method == "POST"
    follower.opened(STREAM)
    follower.closed("reset")
    assert follower.request().path == "/call/d/r1/events"


def refused(status: int, after: str, at: float, **headers: str) -> Response:
    document = json.dumps(errors.Overloaded().document()).encode()
    return Response(status, {"retry-after": after, **headers}, document, at)


@pytest.mark.parametrize("status", [429, 503])
def test_a_call_that_was_refused_is_repeated_as_any_other(status: int) -> None:
    follower = EventFollower("d", opening=CALL, retry=5)
    for at in (0.0, 2.0):
        follower.opened(refused(status, "2", at))
        assert (follower.request(), follower.pause) == (replace(CALL, read_timeout=SILENCE), 2.0)
    with pytest.raises(errors.Unavailable):
        follower.opened(refused(status, "2", 4.0))
    follower = EventFollower("d", opening=CALL, retry=5)
    follower.opened(refused(status, "2", 0.0))
    follower.opened(STREAM)
    assert follower.request().path == "/call/d/r1/events"


def test_a_refusal_without_a_time_or_of_a_run_that_exists_is_not_repeated() -> None:
    for told in (Response(503, {}, b"{}"), refused(503, "1", 0.0, **{"dagcall-outcome": "running"})):
        with pytest.raises(errors.Unavailable):
            EventFollower("d", opening=CALL, retry=5).opened(told)
    with pytest.raises(errors.Unavailable):
        EventFollower("d", opening=CALL, retry=0).opened(refused(503, "1", 0.0))


def test_a_call_that_reached_nobody_is_repeated_and_one_that_was_sent_is_not() -> None:
    follower = EventFollower("d", opening=CALL, retry=5)
    follower.broke(Broken(False, "refused", 0.0))
    assert follower.request().method == "POST"
    with pytest.raises(errors.Unreachable, match="dagcall serve"):
        follower.broke(Broken(False, "refused", 5.0))
    with pytest.raises(errors.Unreachable, match="its run goes on"):
        EventFollower("d", opening=CALL, retry=5).broke(Broken(True, "reset", 0.0))


def test_giving_up_names_the_run() -> None:
    follower = EventFollower("d", run_id="r1")
    pauses = []
    for _ in range(5):
        follower.closed("refused")
        pauses.append(follower.pause)
    with pytest.raises(errors.Unreachable, match="r1"):
        follower.closed("refused")
    assert pauses == sorted(pauses)
    assert 1 < sum(pauses) < 10


@pytest.mark.parametrize(
    "response",
    [
        Response(501, {}, json.dumps(errors.NotSupported("later").document()).encode()),
        Response(406, {}, json.dumps(errors.NotAcceptable().document()).encode()),
        Response(200, {"content-type": "application/json"}, b"1"),
        Response(202, {"content-type": "application/json"}, b"{}"),
    ],
)
def test_a_server_without_streams_is_told_clearly(response: Response) -> None:
    with pytest.raises(errors.NotSupported, match="does not send a run's events"):
        EventFollower("d", opening=CALL).opened(response)


def test_other_answers_are_their_own_errors() -> None:
    gone = Response(404, {}, json.dumps(errors.RunNotFound(dag_id="d", run_id="r1").document()).encode())
    with pytest.raises(errors.RunNotFound):
        EventFollower("d", run_id="r1").opened(gone)


def test_a_line_that_is_no_event_is_the_servers_fault() -> None:
    with pytest.raises(errors.ServerError):
        EventFollower("d", run_id="r1").feed('{"no": "event"}')
