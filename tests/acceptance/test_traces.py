"""Traces of a real server, as a collector gets them: from the caller's span down to one that user code has made."""

import secrets
from collections import defaultdict
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest

from .collector import Collector, collecting
from .conftest import ServerFactory
from .serving import Server, eventually

DAGS = Path(__file__).parent / "observed"
CALLERS_SPAN = "b7ad6b7169203331"


@pytest.fixture(scope="module")
def collector() -> Iterator[Collector]:
    with collecting() as collector:
        yield collector


@pytest.fixture(scope="module")
def server(collector: Collector, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    server = Server(tmp_path_factory.mktemp("traced"), DAGS, environment=collector.environment)
    try:
        server.wait_until_loaded()
        yield server
        server.stop()
    finally:
        server.end()


def call(server: Server, dag_id: str, trace_id: str, flags: str = "01", **headers: str) -> Any:
    headers |= {"traceparent": f"00-{trace_id}-{CALLERS_SPAN}-{flags}"}
    return server.http.post(f"/call/{dag_id}", json={}, headers=headers).raise_for_status().json()


def attributes(span: Any) -> dict[str, Any]:
    return {one.key: getattr(one.value, one.value.WhichOneof("value")) for one in span.attributes}


def test_one_trace_from_the_caller_to_a_span_of_user_code(server: Server, collector: Collector) -> None:
    trace_id = secrets.token_hex(16)
    told = call(server, "traced", trace_id, tracestate="vendor=1")
    assert told["environment"] is False  # as in Airflow
    wanted = {
        "dag_run.traced", "task_run.works", "task_run.tells", "task_run.starts", "worker.works", "worker.tells",
        "worker.starts", "my work", "my callback", "dag_run.started", "task_run.fails_once", "worker.fails_once",
        "task_run.each[0]", "task_run.each[1]", "worker.each[0]", "worker.each[1]",
    }  # fmt: skip
    eventually(lambda: {one.name for one in collector.trace(trace_id)} >= wanted, 30, "all spans")
    spans = collector.trace(trace_id)
    by_name = defaultdict(list)
    for span in sorted(spans, key=lambda span: span.start_time_unix_nano):
        by_name[span.name].append(span)
    assert set(by_name) == wanted
    assert {name: len(found) for name, found in by_name.items() if len(found) > 1} == {
        "task_run.fails_once": 2, "worker.fails_once": 2
    }  # fmt: skip
    by_id = {span.span_id.hex(): span for span in spans}
    assert len(by_id) == len(spans)

    def parent(name: str, number: int = 0) -> str:
        found = by_id.get(by_name[name][number].parent_span_id.hex())
        return by_name[name][number].parent_span_id.hex() if found is None else found.name

    assert parent("dag_run.traced") == CALLERS_SPAN
    assert parent("my callback") == "dag_run.traced"
    assert parent("task_run.works") == parent("task_run.tells") == parent("task_run.starts") == "dag_run.traced"
    assert (parent("worker.works"), parent("my work")) == ("task_run.works", "worker.works")
    assert (parent("dag_run.started"), parent("task_run.each[1]")) == ("worker.starts", "dag_run.started")
    for number in (0, 1):
        worker, attempt = by_name["worker.fails_once"][number], by_name["task_run.fails_once"][number]
        assert worker.parent_span_id == attempt.span_id
    assert told["carrier"]["traceparent"] == f"00-{trace_id}-{by_name['my work'][0].span_id.hex()}-01"
    assert {span.trace_state for span in spans} == {"vendor=1"}

    for span in spans:
        assert span.start_time_unix_nano <= span.end_time_unix_nano
    [run] = by_name["dag_run.traced"]
    assert attributes(run).items() >= {
        "airflow.dag_id": "traced", "airflow.dag_run.run_type": "manual", "dagcall.dag_run.state": "success",
    }.items()  # fmt: skip
    first, second = by_name["task_run.fails_once"]
    assert (first.status.code, first.status.message, second.status.code) == (2, "ValueError", 1)
    assert [attributes(one)["airflow.task_instance.try_number"] for one in (first, second)] == [1, 2]
    assert attributes(by_name["task_run.each[1]"][0]).items() >= {
        "airflow.dag_id": "started", "airflow.task_id": "each", "airflow.task_instance.map_index": 1,
        "airflow.task_instance.state": "success",
    }.items()  # fmt: skip
    [own] = by_name["my work"]
    assert attributes(own) == {"n": 3}
    assert [one.name for one in own.events] == ["half way"]
    assert {one["service.name"] for one in collector.resources} == {"hotel"}
    assert not [span for span in spans if span.name != "worker.fails_once" and "xyzzy" in str(span)], "no values"


def test_the_next_task_of_a_worker_sees_its_own_trace(server: Server, collector: Collector) -> None:
    ids = [secrets.token_hex(16) for _ in range(30)]
    with ThreadPoolExecutor(4) as callers:
        told = list(callers.map(lambda trace_id: call(server, "context", trace_id), ids))
    assert [one["trace_id"] for one in told] == ids
    assert len({one["pid"] for one in told}) < len(ids)
    without = [server.value("context")["trace_id"] for _ in range(3)]
    assert len({*without, *ids}) == 33
    eventually(lambda: all(collector.trace(one) for one in without), 30, "traces that begin with a run")
    [run] = [span for span in collector.trace(without[0]) if span.name == "dag_run.context"]
    assert run.parent_span_id == b""


def test_a_run_can_ask_for_the_task_sdks_own_spans(server: Server, collector: Collector) -> None:
    trace_id = secrets.token_hex(16)
    headers = {"traceparent": f"00-{trace_id}-{CALLERS_SPAN}-01"}
    server.http.post("/call/context", json={"airflow/task_span_detail_level": 2}, headers=headers).raise_for_status()
    eventually(lambda: any(one.name == "dag_run.context" for one in collector.trace(trace_id)), 30, "the run")
    names = eventually(lambda: {one.name for one in collector.trace(trace_id)} & {"task.execute", "run"}, 30, "details")
    assert names == {"task.execute", "run"}


def test_triggers_and_calls_of_a_task_are_part_of_its_trace(server: Server, collector: Collector) -> None:
    trace_id = secrets.token_hex(16)
    headers = {"traceparent": f"00-{trace_id}-{CALLERS_SPAN}-01"}
    answer = server.http.post("/call/reaches_out", json={"url": server.url}, headers=headers)
    assert answer.json()["trace_id"] == trace_id, answer.text
    wanted = {"trigger.waits", "my waiting", "my call", "dag_run.context", "worker.seen"}
    eventually(lambda: {one.name for one in collector.trace(trace_id)} >= wanted, 30, "all spans")
    spans = {span.name: span for span in collector.trace(trace_id)}
    names = {span.span_id: span.name for span in spans.values()}
    parents = {name: names[spans[name].parent_span_id] for name in ("trigger.waits", "my waiting", "dag_run.context")}
    assert parents == {"trigger.waits": "task_run.waits", "my waiting": "trigger.waits", "dag_run.context": "my call"}


def test_a_trace_that_is_not_sampled_goes_on_unrecorded(server: Server, collector: Collector) -> None:
    trace_id, later = secrets.token_hex(16), secrets.token_hex(16)
    assert call(server, "context", trace_id, "00").items() >= {"trace_id": trace_id, "sampled": False}.items()
    call(server, "context", later)
    eventually(lambda: len(collector.trace(later)) == 3, 30, "the spans of the next run")
    assert collector.trace(trace_id) == []


def test_the_collector_gets_the_metrics_too(server: Server, collector: Collector) -> None:
    server.value("context")
    calls = eventually(lambda: collector.metrics.get("dagcall.calls"), 30, "metrics")
    assert calls.sum.is_monotonic
    duration = eventually(lambda: collector.metrics.get("dagcall.call_duration"), 30, "metrics")
    [point, *_] = duration.histogram.data_points
    assert (duration.unit, len(point.bucket_counts)) == ("s", len(point.explicit_bounds) + 1)
    assert point.explicit_bounds[0] == 0.0005


def test_a_run_keeps_its_trace_when_its_server_is_killed(
    collector: Collector, serve: ServerFactory, tmp_path: Path
) -> None:
    journal = f"sqlite:///{tmp_path / 'journal.db'}"
    trace_id = secrets.token_hex(16)
    first = serve(dags=DAGS, journal=journal, environment=collector.environment)
    headers = {"traceparent": f"00-{trace_id}-{CALLERS_SPAN}-01", "Prefer": "respond-async"}
    path = first.http.post("/call/interrupted", json={}, headers=headers).headers["Location"]
    eventually((first.home / "waits").exists, 30, "the task")
    first.end()
    second = serve(dags=DAGS, journal=journal, environment=collector.environment)
    assert second.http.get(path, params={"wait": 30}).json() == trace_id
    eventually(lambda: len(collector.trace(trace_id)) == 4, 30, "the spans")
    by_name = defaultdict(list)
    for span in collector.trace(trace_id):
        by_name[span.name].append(span)
    [run], [worker] = by_name["dag_run.interrupted"], by_name["worker.waits"]
    lost, won = sorted(by_name["task_run.waits"], key=lambda span: span.start_time_unix_nano)
    assert (run.parent_span_id.hex(), lost.parent_span_id, worker.parent_span_id) == (
        CALLERS_SPAN,
        run.span_id,
        won.span_id,
    )
    assert (lost.status.code, lost.status.message, won.status.code) == (2, "WorkerLost", 1)
