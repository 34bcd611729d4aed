"""The spans of a run, made of real machines; that a collector gets them: acceptance tests."""

from dagcall.core.machine import RunMachine
from dagcall.core.spans import spans_of
from dagcall.model.events import (
    AttemptEnded,
    AttemptStarted,
    CancelRequested,
    EndKind,
    ErrorInfo,
    RetryDue,
    RunAccepted,
)
from dagcall.model.ids import RunKey
from dagcall.model.plan import DagPlan, Retry, TaskPlan
from dagcall.model.trace import Span, TraceContext, of_run, of_try

KEY = RunKey("d", "r")
CARRIER = TraceContext("a" * 32, "b" * 16, state="v=1")
PLAN = DagPlan(
    "d",
    "v",
    "/d.py",
    "d.py",
    (
        TaskPlan("first", "Python", downstream=("last",), retry=Retry(retries=1, delay=1.0)),
        TaskPlan("last", "Python", upstream=("first",), is_result=True),
    ),
)


def machine(*events: tuple[object, float]) -> RunMachine:
    made = RunMachine(PLAN, KEY)
    for event, now in ((RunAccepted("d", "r", "v"), 10.0), *events):
        made.step(event, now)  # type: ignore[arg-type]
    return made


def told(spans: list[Span]) -> list[tuple[str, float, float, int]]:
    return [(span.name, span.start / 1e9, span.end / 1e9, span.status) for span in spans]


def test_each_try_has_a_span_from_its_queue_to_its_end() -> None:
    run = machine(
        (AttemptStarted(1, 1), 11.0),
        (AttemptEnded(1, 1, EndKind.RETRY, error=ErrorInfo("ValueError", "xyzzy")), 12.0),
        (RetryDue("first", -1, 1), 13.0),
        (AttemptStarted(2, 1), 13.5),
        (AttemptEnded(2, 1, EndKind.SUCCESS), 14.0),
        (AttemptStarted(3, 1), 14.0),
        (AttemptEnded(3, 1, EndKind.SUCCESS, plain=b"1"), 15.0),
    )
    spans = spans_of(run, CARRIER, 10.0)
    assert told(spans) == [
        ("dag_run.d", 10.0, 15.0, 1),
        ("task_run.first", 11.0, 12.0, 2),
        ("task_run.first", 13.0, 14.0, 1),
        ("task_run.last", 14.0, 15.0, 1),
    ]
    run_span = of_run(CARRIER, KEY).span_id
    assert [span.span_id for span in spans] == [
        run_span,
        *(of_try(CARRIER, KEY, *one).span_id for one in (("first", -1, 1), ("first", -1, 2), ("last", -1, 1))),
    ]
    assert [span.parent_id for span in spans] == [CARRIER.span_id, run_span, run_span, run_span]
    assert spans[2].attributes["dagcall.task_instance.queued_seconds"] == 0.5
    assert {span.state for span in spans} == {"v=1"}
    assert spans[1].description == "ValueError"
    assert "xyzzy" not in str(spans)


def test_tasks_that_never_ran_have_no_span_and_the_run_says_why() -> None:
    run = machine(
        (AttemptStarted(1, 1), 11.0),
        (AttemptEnded(1, 1, EndKind.FAILED, error=ErrorInfo("ValueError", "xyzzy")), 12.0),
    )
    spans = spans_of(run, CARRIER, 10.0)
    assert told(spans) == [("dag_run.d", 10.0, 12.0, 2), ("task_run.first", 10.0, 12.0, 2)]
    assert (spans[0].description, spans[0].attributes["dagcall.outcome"]) == ("ValueError", "failed")


def test_a_trace_that_begins_with_the_run_has_it_as_its_root() -> None:
    root = of_run(CARRIER, KEY)
    run = machine((CancelRequested("ann"), 11.0))
    [span] = spans_of(run, root, 10.0)
    assert (span.span_id, span.parent_id, span.is_remote) == (root.span_id, None, False)
