"""`dagcall call`: data on stdout, messages on stderr, and the exit codes."""

import json
import signal
import time

import httpx
import pytest

from dagcall import errors
from dagcall.error_details import CauseStep, TaskError

FAILURE = errors.RunFailed(
    dag_id="d",
    run_id="manual__1",
    task="answer",
    map_index=2,
    try_number=3,
    error=TaskError("ValueError", "no"),
    cause=(CauseStep("answer", 2, "failed"), CauseStep("final", -1, "upstream_failed")),
    cleanup="running",
)


def stream(*events: tuple[str, object]) -> httpx.Response:
    lines = [
        json.dumps({"id": i, "event": name, "run_id": "r1", "time": "t", "data": data})
        for i, (name, data) in enumerate(events, 1)
    ]
    return httpx.Response(200, content="\n".join([*lines, ""]), headers={"content-type": "application/x-ndjson"})


def test_the_value_is_all_that_stdout_gets(dagcall):
    dagcall.accepts("d", "r1", httpx.Response(200, json={"answer": "ü", "n": [1]}))
    assert dagcall("call", "d") == 0
    assert (dagcall.out, dagcall.err) == ('{"answer": "ü", "n": [1]}\n', "")


def test_no_result_is_null(dagcall):
    dagcall.accepts("d", "r1", httpx.Response(204))
    assert dagcall("call", "d") == 0
    assert dagcall.out == "null\n"


def test_params_are_json_if_they_parse_and_win_over_conf(dagcall):
    dagcall.accepts("d", "r1", httpx.Response(204))
    pairs = ["n=3", "rates=[0.1, 2]", "text=hello world", 'quoted="7"', "nan=NaN", "empty=", "eq=a=b"]
    arguments = [word for pair in pairs for word in ("-p", pair)]
    assert dagcall("call", "d", "--conf", "-", *arguments, stdin='{"n": 1, "kept": null}') == 0
    assert json.loads(dagcall.requests[0].content) == {
        "n": 3, "kept": None, "rates": [0.1, 2], "text": "hello world", "quoted": "7", "nan": "NaN", "empty": "", "eq": "a=b",
    }  # fmt: skip


@pytest.mark.parametrize(
    "arguments",
    [
        ["-p", "novalue"],
        ["-p", "=x"],
        ["--conf", "{"],
        ["--conf", "[1]"],
        ["--detach", "--wait", "1"],
        ["--run-id", ""],
    ],
)
def test_wrong_arguments_send_nothing(dagcall, arguments):
    assert dagcall("call", "d", *arguments) == 2
    assert dagcall.err.startswith("dagcall: ")
    assert dagcall.requests == []


@pytest.mark.parametrize(
    "arguments", [["call"], ["call", "d", "--wait", "-1"], ["call", "d", "--wait", "x"], ["call", "d", "-o", "xml"], []]
)
def test_wrong_usage_exits_2(dagcall, arguments):
    with pytest.raises(SystemExit) as leaving:
        dagcall(*arguments)
    assert leaving.value.code == 2


@pytest.mark.parametrize(
    "answer, code",
    [
        (errors.DagNotFound(dag_id="d"), 3),
        (errors.InvalidParams(dag_id="d"), 2),
        (errors.NotAllowed(), 4),
        (errors.NotAuthenticated(), 4),
        (errors.Overloaded(retry_after=2), 5),
        (errors.RateLimited(retry_after=2), 5),
        (errors.Loading(retry_after=1), 5),
        (errors.DagBroken(dag_id="d"), 5),
        (errors.DagUnsupported(dag_id="d"), 2),
        (errors.RunExists(dag_id="d", run_id="r"), 2),
        (httpx.ConnectError("refused"), 5),
        (httpx.Response(500), 5),
    ],
)
def test_exit_codes(dagcall, answer, code):
    dagcall.answers["POST /call/d"] = answer
    assert dagcall("call", "d") == code
    assert dagcall.out == ""
    assert len(dagcall.requests) == 1


def test_a_failed_run_says_what_where_why_and_how_to_see_more(dagcall):
    dagcall.accepts("d", "manual__1", FAILURE)
    assert dagcall("call", "d") == 1
    assert dagcall.out == ""
    for part in (
        "task:  answer[2], try 3",
        "error: ValueError: no",
        "cause: answer[2] failed -> final upstream_failed",
        "run:   manual__1 (the rest of it is still running)",
        "log:   dagcall runs logs d manual__1 answer --map-index 2",
    ):
        assert part in dagcall.err


def test_deadline_and_cancel_end_as_failed_runs(dagcall):
    dagcall.accepts("d", "r1", errors.DeadlineExceeded(dag_id="d", run_id="r1"))
    assert dagcall("call", "d", "--timeout", "1") == 1
    assert dagcall.requests[0].url.params["timeout"] == "1"


def test_not_finished_within_the_wait_names_the_run(dagcall):
    dagcall.accepts("d", "r1", httpx.Response(202, json={"run_id": "r1", "state": "running"}))
    assert dagcall("call", "d", "--wait", "0") == 124
    assert dagcall.out == ""
    assert "dagcall runs attach d r1" in dagcall.err


def test_detach_prints_the_id_and_does_not_wait(dagcall):
    dagcall.accepts("d", "r1", httpx.Response(204))
    assert dagcall("call", "d", "--detach") == 0
    assert json.loads(dagcall.out) == {"dag_id": "d", "run_id": "r1"}
    assert dagcall.requests[0].headers["prefer"] == "respond-async"
    assert len(dagcall.requests) == 1


def test_interrupting_tells_that_the_run_goes_on(dagcall):
    def interrupted(request: httpx.Request) -> httpx.Response:
        raise KeyboardInterrupt

    dagcall.accepts("d", "r1", interrupted)
    assert dagcall("call", "d") == 130
    assert "dagcall runs attach d r1" in dagcall.err


def test_interrupting_cancels_where_that_was_asked_for(dagcall):
    def interrupted(request: httpx.Request) -> httpx.Response:
        raise KeyboardInterrupt

    dagcall.accepts("d", "r1", interrupted)
    dagcall.answers["DELETE /call/d/r1"] = httpx.Response(202, json={})
    assert dagcall("call", "d", "--on-disconnect", "cancel") == 130
    assert [one.method for one in dagcall.requests] == ["POST", "GET", "DELETE"]
    assert dagcall.requests[0].url.params["on_disconnect"] == "cancel"
    assert "the run is cancelled" in dagcall.err
    assert "attach" not in dagcall.err


def test_stream_prints_events_as_lines(dagcall):
    dagcall.answers["POST /call/d"] = stream(("accepted", {}), ("result", {"t": 1}), ("end", {}))
    assert dagcall("call", "d", "--stream") == 0
    assert [json.loads(line)["event"] for line in dagcall.out.splitlines()] == ["accepted", "result", "end"]


@pytest.mark.parametrize(
    "outcome, words", [("failed", "ValueError"), ("deadline", "Deadline"), ("cancelled", "cancelled")]
)
def test_a_streamed_failure_exits_1(dagcall, outcome, words):
    data = {"outcome": outcome, "failed_task": None, "error": {"type": "ValueError", "message": "no"}, "cause": []}
    dagcall.answers["POST /call/d"] = stream(("failure", data), ("end", {}))
    assert dagcall("call", "d", "--stream") == 1
    assert words in dagcall.err
    assert len(dagcall.out.splitlines()) == 2


def test_a_server_without_streams_is_told_clearly(dagcall):
    dagcall.answers["POST /call/d"] = errors.NotSupported("Streams come with a later release.")
    assert dagcall("call", "d", "--stream") == 2
    assert "does not send a run's events" in dagcall.err


def test_a_stream_that_outlasts_the_wait_ends_with_124(dagcall):
    def silent(request: httpx.Request) -> httpx.Response:
        signal.pause()  # until the wait is over
        raise AssertionError

    dagcall.answers["POST /call/d"] = silent
    before = signal.getsignal(signal.SIGALRM)
    assert dagcall("call", "d", "--stream", "--wait", "0.01") == 124
    assert signal.getsignal(signal.SIGALRM) is before
    assert signal.getitimer(signal.ITIMER_REAL) == (0.0, 0.0)


@pytest.mark.parametrize("has_rich", [True, False])
def test_progress_is_shown_on_a_terminal_only(dagcall, monkeypatch, has_rich):
    monkeypatch.setenv("TERM", "xterm")
    monkeypatch.setenv("NO_COLOR", "1")
    if not has_rich:
        monkeypatch.setattr("dagcall.cli.progress.find_spec", lambda name: None)
    now = [0.0]
    monkeypatch.setattr(time, "monotonic", lambda: now[0])
    looks = iter([httpx.Response(202, json={"run_id": "r1", "state": "running"}), httpx.Response(200, json=7)])

    def attach(request: httpx.Request) -> httpx.Response:
        now[0] += 1.0
        return next(looks)

    dagcall.accepts("d", "r1", attach)
    tasks = [{"state": "success"}, {"state": "running"}, {"state": None}]
    dagcall.answers["GET /api/v2/dags/d/dagRuns/r1/taskInstances"] = httpx.Response(
        200, json={"task_instances": tasks, "total_entries": len(tasks)}
    )
    dagcall.is_terminal = True
    assert dagcall("call", "d") == 0
    assert dagcall.out == "7\n"
    assert "1 running, 1 success, 1 waiting" in dagcall.err
    assert "\x1b[3" not in dagcall.err, "a colour in spite of NO_COLOR"


@pytest.mark.parametrize(
    "value, lines",
    [
        ({"a": 1, "b": [1, {}]}, ["NAME  VALUE", "a     1", "b     [1, {}]"]),
        ([{"x": 1.5, "y": "z"}, {"x": 2}], ["X    Y", "1.5  z", "2"]),
        (["one", "two"], ["one", "two"]),
        ("plain text", ["plain text"]),
        (None, [""]),
    ],
)
def test_values_as_tables(dagcall, value, lines):
    dagcall.accepts("d", "r1", httpx.Response(200, content=json.dumps(value)))
    assert dagcall("call", "d", "-o", "table") == 0
    assert dagcall.out.splitlines() == lines
