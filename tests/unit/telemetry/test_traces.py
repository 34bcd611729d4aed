"""Spans on their way to an exporter, and who decides whether there are any."""

import threading
from collections.abc import Sequence

import msgspec
import pytest
from opentelemetry.sdk.resources import Resource
from opentelemetry.sdk.trace import ReadableSpan
from opentelemetry.sdk.trace.export import SpanExporter, SpanExportResult

from dagcall.core.machine import RunMachine
from dagcall.model.events import AttemptEnded, AttemptStarted, EndKind, RunAccepted
from dagcall.model.ids import RunKey
from dagcall.model.plan import DagPlan, TaskPlan
from dagcall.model.trace import Span, SpanEvent, SpanLink, of_run, parsed
from dagcall.telemetry import traces as traces_module
from dagcall.telemetry.traces import Traces

KEY = RunKey("d", "r")
CALLER = f"00-{'a' * 32}-{'b' * 16}-01"


class Exported(SpanExporter):
    def __init__(self) -> None:
        self.spans: list[ReadableSpan] = []
        self.may_go_on = threading.Event()
        self.may_go_on.set()

    def export(self, spans: Sequence[ReadableSpan]) -> SpanExportResult:
        self.may_go_on.wait(30)
        self.spans += spans
        return SpanExportResult.SUCCESS


def ended(traceparent: str | None, tracestate: str | None = None) -> RunMachine:
    plan = DagPlan("d", "v", "/d.py", "d.py", (TaskPlan("only", "Python"),))
    machine = RunMachine(plan, KEY)
    accepted = RunAccepted("d", "r", "v", traceparent=traceparent, tracestate=tracestate)
    for event in (accepted, AttemptStarted(1, 1), AttemptEnded(1, 1, EndKind.SUCCESS)):
        machine.step(event, 10.0)
    return machine


def test_a_callers_context_is_kept_and_a_trace_without_one_begins_with_the_run(monkeypatch: pytest.MonkeyPatch) -> None:
    traces = Traces(Exported(), Resource({}))
    assert traces.begun(CALLER, "v=1", KEY) == (CALLER, "v=1")
    for nonsense in (None, "x" * 20_000, "00-zz-zz-zz"):
        made = parsed(traces.begun(nonsense, "v=1", KEY)[0])
        assert made is not None
        assert made == of_run(made, KEY)
        assert made.sampled
    traces.close()
    monkeypatch.setenv("OTEL_TRACES_SAMPLER", "parentbased_always_off")
    unsampled = Traces(Exported(), Resource({}))
    assert unsampled.begun(None, None, KEY)[0].endswith("-00")
    assert unsampled.begun(CALLER, None, KEY)[0].endswith("-01")
    unsampled.close()


def test_what_is_sampled_is_exported_when_it_is_closed() -> None:
    exporter = Exported()
    traces = Traces(exporter, Resource({"service.name": "s"}))
    traces.ended(ended(CALLER, "v=1"), 10.0)
    traces.ended(ended(CALLER[:-1] + "0"), 10.0)
    traces.ended(ended(None), 10.0)
    traces.close()
    assert [span.name for span in exporter.spans] == ["dag_run.d", "task_run.only"]
    [run, attempt] = exporter.spans
    assert run.parent is not None
    assert run.parent.span_id == int("b" * 16, 16)
    assert attempt.parent == run.context
    assert run.resource.attributes["service.name"] == "s"
    assert traces.dropped == 0


def test_spans_of_a_worker_arrive_whole_and_nonsense_is_counted() -> None:
    exporter = Exported()
    traces = Traces(exporter, Resource({}))
    span = Span(
        "mine", "a" * 32, "c" * 16, "b" * 16, 1, 2, {"n": [1, 2]}, 2, "why", 2,
        [SpanEvent("half", 1, {"a": True})], [SpanLink("d" * 32, "e" * 16)], "lib", "1.0", "v=1", True,
    )  # fmt: skip
    traces.spans(b"nonsense")
    traces.spans(msgspec.msgpack.encode([span]))
    traces.close()
    [found] = exporter.spans
    assert found.name == "mine"
    assert dict(found.attributes or {}) == {"n": [1, 2]}
    assert (found.status.description, found.kind.value, found.start_time, found.end_time) == ("why", 2, 1, 2)
    assert [event.name for event in found.events] == ["half"]
    assert found.links[0].context.trace_id == int("d" * 32, 16)
    assert found.instrumentation_scope is not None
    assert found.instrumentation_scope.version == "1.0"
    assert found.context is not None
    assert found.context.trace_state.to_header() == "v=1"
    assert traces.dropped == 1


def test_a_collector_that_stands_still_stops_nobody(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(traces_module, "MOST", 10)
    monkeypatch.setattr(traces_module, "FLUSH", 0.05)
    exporter = Exported()
    exporter.may_go_on.clear()
    traces = Traces(exporter, Resource({}))
    machine = ended(CALLER)
    for _ in range(20_000):
        traces.ended(machine, 10.0)
    assert traces.dropped > 0
    traces.close()  # returns
    exporter.may_go_on.set()
