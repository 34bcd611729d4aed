"""The error tree: every problem type goes over the wire and comes back as itself."""

import json
import pickle
import re
from dataclasses import fields

import pytest

from dagcall import errors
from dagcall.error_details import CauseStep, ParamProblem, TaskError
from dagcall.errors import PROBLEM_TYPES, Problem, RunFailed, problem_from

WIRE = {
    "run-failed": 500,
    "deadline-exceeded": 504,
    "run-cancelled": 409,
    "rejected": 422,
    "bad-request": 400,
    "malformed-json": 400,
    "method-not-allowed": 405,
    "not-acceptable": 406,
    "too-large": 413,
    "head-too-large": 431,
    "request-timeout": 408,
    "unsupported-media-type": 415,
    "range-not-satisfiable": 416,
    "not-an-object": 422,
    "invalid-params": 422,
    "idempotency-mismatch": 422,
    "run-exists": 409,
    "dag-paused": 409,
    "not-found": 404,
    "dag-not-found": 404,
    "run-not-found": 404,
    "task-not-found": 404,
    "value-not-found": 404,
    "value-gone": 410,
    "not-allowed": 403,
    "not-authenticated": 401,
    "foreign-origin": 403,
    "misdirected": 421,
    "unavailable": 503,
    "unreachable": 503,
    "loading": 503,
    "overloaded": 503,
    "shutting-down": 503,
    "rate-limited": 429,
    "dag-broken": 503,
    "not-supported": 501,
    "dag-unsupported": 501,
    "server-error": 500,
}

VALUES = {
    "dag_id": "a dag",
    "run_id": "manual__1/x",
    "retry_after": 1.5,
    "task": "answer",
    "map_index": 2,
    "try_number": 3,
    "error": TaskError("ValueError", "no"),
    "cause": (CauseStep("answer", 2, "failed"), CauseStep("final", -1, "upstream_failed")),
    "state": "running",
    "cleanup": "running",
    "results": {"other": [1, {"a": None}]},
    "log": "/api/v2/log",
    "task_id": "answer",
    "errors": (ParamProblem("question", "is missing"), ParamProblem("", "too many")),
    "features": (errors.UnsupportedFeature(None, "run_as_user", "no"),),
}


def test_the_wire_names_and_statuses_are_pinned() -> None:
    assert {slug: kind.status for slug, kind in PROBLEM_TYPES.items()} == WIRE


@pytest.mark.parametrize("slug", sorted(WIRE))
def test_every_problem_type_maps_both_ways(slug: str) -> None:
    kind = PROBLEM_TYPES[slug]
    names = [one.name for one in fields(kind) if one.name not in ("detail", "status")]
    error = kind("what happened", **{name: VALUES[name] for name in names})  # type: ignore[arg-type]
    document = json.loads(json.dumps(error.document()))
    assert document["type"].endswith("/" + slug)
    assert document["status"] == kind.status
    assert document["instance"] == "/call/a%20dag/manual__1%2Fx"
    back = problem_from(kind.status, document)
    assert type(back) is kind
    assert vars(back) | {"status": 0} == vars(error) | {"status": 0}
    assert str(back) == str(error) == "what happened"


@pytest.mark.parametrize("slug", sorted(WIRE))
def test_every_problem_has_a_sentence_of_its_own_and_survives_without_fields(slug: str) -> None:
    kind = PROBLEM_TYPES[slug]
    sentence = str(kind(dag_id="D", run_id="R"))
    assert sentence.endswith((".", "?", ")"))
    assert "{" not in sentence
    assert type(problem_from(kind.status, {"type": f"x/{slug}"})) is kind


def test_the_drawn_tree_is_the_tree() -> None:
    drawn = set(re.findall(r"[├└]── (\w+)", errors.__doc__ or ""))
    real = {name for name, one in vars(errors).items() if isinstance(one, type) and issubclass(one, Exception)}
    assert drawn == real - {"DagcallError"}
    for slug, status in re.findall(r"\w+ +([a-z-]+) (\d{3})(?![\d|])", errors.__doc__ or ""):
        assert WIRE[slug] == int(status)


def test_a_failure_has_the_members_of_the_contract_even_when_empty() -> None:
    document = RunFailed(dag_id="d", run_id="r").document()
    assert {
        "dag_id", "run_id", "state", "failed_task", "map_index", "try_number", "error", "cause", "cleanup",
    } <= document.keys()  # fmt: skip
    assert "results" not in document


def test_a_failure_says_where_and_why() -> None:
    error = RunFailed(dag_id="d", run_id="r", task="t", map_index=4, try_number=2, error=TaskError("KeyError", "'x'"))
    assert str(error) == "Task 't[4]' failed on try 2: KeyError: 'x' (run 'r' of DAG 'd'); its log tells more."


@pytest.mark.parametrize(
    "status, document, kind, text",
    [
        (404, {"detail": "The Dag with ID: `x` was not found"}, errors.NotFound, "The Dag with ID: `x` was not found"),
        (422, {"detail": [{"loc": ["query"], "msg": "bad"}]}, errors.BadRequest, '[{"loc": ["query"], "msg": "bad"}]'),
        (502, {}, errors.Unavailable, "nothing"),
        (500, {}, errors.ServerError, "nothing"),
        (409, {"type": "https://example.test/newer-than-us", "detail": "x"}, errors.BadRequest, "x"),
        (401, {"type": "about:blank", "title": "Unauthorized"}, errors.NotAuthenticated, "nothing"),
    ],
)
def test_answers_of_others_become_the_general_class(
    status: int, document: dict[str, object], kind: type[Problem], text: str
) -> None:
    error = problem_from(status, document, fallback="nothing", retry_after=2.0)
    assert type(error) is kind
    assert (str(error), error.status, error.retry_after) == (text, status, 2.0)


def test_errors_survive_pickling() -> None:
    error = RunFailed("x", dag_id="d", run_id="r", error=TaskError("E", "m"))
    assert vars(pickle.loads(pickle.dumps(error))) == vars(error)


def test_deadline_and_cancel_are_failures_for_whoever_catches_run_failed() -> None:
    assert issubclass(errors.DeadlineExceeded, RunFailed)
    assert issubclass(errors.RunCancelled, RunFailed)
    assert issubclass(errors.Rejected, RunFailed)
