"""The flows, driven by hand: no network, no clock."""

import json
from collections.abc import Iterator
from typing import Any

import pytest

from dagcall import errors
from dagcall.client import _flow
from dagcall.client._options import Options
from dagcall.client._wire import Accepted, Broken, Flow, Pause, Reply, Request, Response, Resumed

RUN = Accepted("d", "r1")


def answer(status: int, body: Any = None, at: float = 0.0, **headers: str) -> Response:
    content = b"" if body is None else json.dumps(body).encode()
    return Response(status, {name.replace("_", "-"): value for name, value in headers.items()}, content, at)


def problem(error: errors.Problem, at: float = 0.0, **headers: str) -> Response:
    return answer(error.status, error.document(), at, **headers)


def accepted(at: float = 0.0, **headers: str) -> Response:
    return answer(202, {"dag_id": "d", "run_id": "r1", "state": "running"}, at, dagcall_run_id="r1", **headers)


class Driven:
    """A flow and everything that it asked for."""

    def __init__(self, flow: Flow[Any], replies: Iterator[Reply] | list[Reply]) -> None:
        self.requests: list[Request] = []
        self.pauses: list[float] = []
        self.value: Any = None
        self.error: errors.DagcallError | None = None
        queue = iter(replies)
        now = 0.0
        try:
            step = next(flow)
            while True:
                if isinstance(step, Pause):
                    self.pauses.append(step.seconds)
                    now += step.seconds
                    step = flow.send(Resumed(now))
                else:
                    self.requests.append(step)
                    reply = next(queue)
                    assert not isinstance(reply, Resumed)
                    now = max(now, reply.at)
                    step = flow.send(reply)
        except StopIteration as done:
            self.value = done.value
        except errors.DagcallError as error:
            self.error = error
        assert next(queue, None) is None, "a reply was left over"


def called(replies: list[Reply], **options: Any) -> Driven:
    return Driven(_flow.call("d", b"{}", Options(**options), 0.0), replies)


def test_a_value_is_returned_from_one_request() -> None:
    driven = called([answer(200, {"a": [1, None]})])
    assert driven.value == {"a": [1, None]}
    (request,) = driven.requests
    assert (request.method, request.path, request.content) == ("POST", "/call/d", b"{}")
    assert request.headers["prefer"] == "wait=30"
    assert request.read_timeout > 30


def test_no_content_is_none() -> None:
    assert called([answer(204)]).value is None


def test_names_are_quoted_in_paths() -> None:
    assert Driven(_flow.call("a/b ü", b"{}", Options(), 0.0), [answer(204)]).requests[0].path == "/call/a%2Fb%20%C3%BC"


def test_options_travel_as_headers_and_query_never_as_params() -> None:
    (request,) = called([answer(204)], timeout=1.5, key="k 1", run_id="mine", result=("a", "b"), wait=2.2).requests
    assert request.query == (("result", "a"), ("result", "b"), ("timeout", "1.5"), ("run_id", "mine"))
    assert request.headers["idempotency-key"] == "k 1"
    assert request.headers["prefer"] == "wait=3"


def test_a_long_run_is_attached_to_until_it_is_decided() -> None:
    driven = called([accepted(30.0), accepted(60.0), answer(200, 7, 61.0)])
    assert driven.value == 7
    assert [request.method for request in driven.requests] == ["POST", "GET", "GET"]
    assert driven.requests[1].path == "/call/d/r1"
    assert driven.pauses == []


def test_the_wait_is_spent_over_all_requests_and_then_names_the_run() -> None:
    driven = called([accepted(30.0), accepted(40.0)], wait=40)
    assert driven.requests[1].headers["prefer"] == "wait=10"
    assert isinstance(driven.error, errors.NotFinished)
    assert (driven.error.run_id, driven.error.waited, driven.error.state) == ("r1", 40.0, "running")


def test_a_server_that_does_not_wait_is_not_asked_in_a_tight_loop() -> None:
    driven = called([accepted(0.0), accepted(0.1, retry_after="2"), accepted(2.2), answer(200, 1, 3.3)])
    assert driven.pauses == [2.0, 1.0]


def test_a_server_that_grants_a_shorter_wait_is_asked_again_at_once() -> None:
    granted = {"preference_applied": "wait=5"}
    driven = called(
        [accepted(5.0, **granted), accepted(10.0, **granted), accepted(10.5, **granted), answer(200, 1, 12.0)]
    )
    assert (driven.value, driven.pauses) == (1, [1.0])  # but for the one that did not wait


def test_a_failure_is_raised_typed() -> None:
    failure = errors.RunFailed(dag_id="d", run_id="r1", task="t", error=errors.TaskError("E", "m"))
    driven = called([problem(failure, dagcall_outcome="failed")])
    assert isinstance(driven.error, errors.RunFailed)
    assert driven.error.task == "t"


def test_a_refusal_before_any_work_is_repeated_after_the_time_it_names() -> None:
    driven = called([problem(errors.Loading(), retry_after="1"), answer(200, 1, 1.0)])
    assert driven.value == 1
    assert driven.pauses == [1.0]


@pytest.mark.parametrize("error", [errors.Overloaded(), errors.RateLimited(), errors.Loading()])
def test_a_refusal_is_reported_once_trying_again_would_outlast_the_limit(error: errors.Problem) -> None:
    driven = called([problem(error, 0.0, retry_after="3"), problem(error, 3.0, retry_after="3")], retry=5)
    assert type(driven.error) is type(error)
    assert driven.error.retry_after == 3


def test_an_outcome_is_never_taken_for_a_refusal() -> None:
    driven = called([answer(503, {"detail": "x"}, retry_after="1", dagcall_outcome="failed")])
    assert len(driven.requests) == 1


def test_nobody_there_is_tried_again_within_the_limit() -> None:
    refused = [Broken(False, "refused", at) for at in (0.0, 0.1, 0.3, 0.7)]
    assert isinstance(called([*refused], retry=0.75).error, errors.Unreachable)
    assert called([*refused, answer(200, 1, 0.8)], retry=9).value == 1


def test_with_no_retry_nobody_there_is_told_at_once() -> None:
    assert isinstance(called([Broken(False, "refused")], retry=0).error, errors.Unreachable)


def test_a_call_that_may_have_arrived_is_not_sent_twice() -> None:
    driven = called([Broken(True, "reset")])
    assert isinstance(driven.error, errors.Unreachable)
    assert "may be running" in str(driven.error)


def test_a_call_with_a_key_is_sent_again() -> None:
    assert called([Broken(True, "reset"), answer(200, 1, 0.2)], key="k").value == 1


def test_a_call_with_its_own_run_id_attaches_when_the_first_sending_did_arrive() -> None:
    exists = problem(errors.RunExists(dag_id="d", run_id="mine"), 0.2)
    driven = called([Broken(True, "reset"), exists, answer(200, 5, 1.0)], run_id="mine")
    assert driven.value == 5
    assert driven.requests[-1].path == "/call/d/mine"


def test_a_run_id_that_was_taken_before_is_an_error() -> None:
    assert isinstance(called([problem(errors.RunExists())], run_id="mine").error, errors.RunExists)


def test_attaching_survives_a_restart_of_the_server() -> None:
    driven = called([accepted(30.0), Broken(True, "reset", 50.0), Broken(False, "refused", 50.2), answer(200, 1, 51.0)])
    assert driven.value == 1


def test_a_page_that_is_not_json_is_no_value() -> None:
    driven = called([Response(200, {}, b"<html>")])
    assert isinstance(driven.error, errors.ServerError)


def test_submit_asks_not_to_wait() -> None:
    driven = Driven(_flow.submit("d", b"{}", Options(), 0.0), [accepted()])
    assert driven.value == RUN
    assert driven.requests[0].headers["prefer"] == "respond-async"


def test_a_run_that_failed_at_once_was_accepted() -> None:
    failed = problem(errors.RunFailed(dag_id="d", run_id="r1"), dagcall_run_id="r1")
    assert Driven(_flow.submit("d", b"{}", Options(), 0.0), [failed]).value == RUN


def test_a_refused_submit_raises() -> None:
    driven = Driven(_flow.submit("d", b"{}", Options(), 0.0), [problem(errors.InvalidParams(dag_id="d"))])
    assert isinstance(driven.error, errors.InvalidParams)


@pytest.mark.parametrize(
    "reply, state",
    [
        (answer(200, {"state": "a value"}, dagcall_run_state="running"), "running"),
        (accepted(), "running"),
        (problem(errors.RunFailed(dag_id="d", run_id="r1", state="failed")), "failed"),
        (answer(204), "success"),
    ],
)
def test_the_state_is_that_of_the_whole_run(reply: Reply, state: str) -> None:
    assert Driven(_flow.state(RUN, Options(), 0.0), [reply]).value == state


def test_cancel_tells_whether_there_was_something_to_cancel() -> None:
    assert Driven(_flow.cancel(RUN, Options(), 0.0), [answer(202)]).value is True
    assert Driven(_flow.cancel(RUN, Options(), 0.0), [answer(200)]).value is False
    gone = Driven(_flow.cancel(RUN, Options(), 0.0), [problem(errors.RunNotFound(dag_id="d", run_id="r1"))])
    assert isinstance(gone.error, errors.RunNotFound)


@pytest.mark.parametrize("bad", [{"wait": -1}, {"timeout": float("nan")}, {"key": ""}, {"key": "ü"}, {"run_id": ""}])
def test_impossible_options_are_refused(bad: dict[str, Any]) -> None:
    with pytest.raises(errors.UsageError):
        Options(**bad)
