"""/metrics of a real server, read by Prometheus' own parser while the server is busy."""

from concurrent.futures import ThreadPoolExecutor

import httpx
from prometheus_client import Metric
from prometheus_client.parser import text_string_to_metric_families

from dagcall.coordinator.metrics import FAMILIES

from .conftest import ServerFactory
from .serving import Server, eventually

CALLS = 60


def scrape(server: Server) -> dict[str, Metric]:
    answer = httpx.get(f"{server.url}/metrics", timeout=60)
    assert answer.status_code == 200, answer.text
    assert answer.headers["Content-Type"].startswith("text/plain; version=0.0.4")
    return {family.name: family for family in text_string_to_metric_families(answer.text)}


def value(families: dict[str, Metric], name: str, **labels: str) -> float:
    base = name.removesuffix("_total").removesuffix("_count").removesuffix("_sum").removesuffix("_bucket")
    return sum(one.value for one in families[base].samples if one.name == name and labels.items() <= one.labels.items())


def test_what_a_server_tells_while_it_works(serve: ServerFactory) -> None:
    server = serve()
    with ThreadPoolExecutor(8) as callers:
        calls = [callers.submit(server.value, "squares", n=number) for number in range(CALLS)]
        during = [scrape(server) for _ in range(5)]
        for call in calls:
            call.result()
    assert server.call("no_such_dag").status_code == 404
    assert server.call("rejects").status_code == 404
    for _ in range(2):
        server.http.post("/call/squares", json={"n": 1}, headers={"Idempotency-Key": "k"}).raise_for_status()
    server.wait_until_idle()
    after = scrape(server)

    assert list(after) == [name.removesuffix("_total") for name in FAMILIES]
    for family in after.values():
        told = FAMILIES.get(family.name) or FAMILIES[f"{family.name}_total"]
        assert (family.type, family.documentation) == (told.kind, told.help)
        for one in family.samples:
            assert set(one.labels) - {"le"} == set(told.labels), one
    one_run = {"dag_id": "squares"}
    assert value(after, "dagcall_calls_total", outcome="success", **one_run) == CALLS + 1
    assert value(after, "dagcall_calls_total", dag_id="rejects", outcome="failed") == 1
    assert value(after, "dagcall_calls_refused_total", reason="dag-not-found") == 1
    assert value(after, "dagcall_calls_shared_total", how="key") == 1
    assert value(after, "dagcall_call_duration_seconds_count", **one_run) == CALLS + 1
    assert value(after, "dagcall_call_duration_seconds_bucket", le="+Inf", **one_run) == CALLS + 1
    assert (
        0
        < value(after, "dagcall_call_queue_seconds_sum", **one_run)
        < value(after, "dagcall_call_duration_seconds_sum", **one_run)
    )
    assert value(after, "dagcall_ti_finish_total", state="success", **one_run) == 4 * (CALLS + 1)
    assert value(after, "dagcall_ti_start_total", **one_run) == 4 * (CALLS + 1)
    assert value(after, "dagcall_task_duration_seconds_count", **one_run) == 4 * (CALLS + 1)
    assert value(after, "dagcall_dagrun_duration_seconds_count", state="success", **one_run) == CALLS + 1
    assert value(after, "dagcall_journal_commit_seconds_count") > 0
    assert value(after, "dagcall_journal_commit_entries_sum") >= 3 * CALLS
    assert value(after, "dagcall_journal_size_bytes") > 4096
    assert value(after, "dagcall_journal_up") == value(after, "dagcall_ready") == value(after, "dagcall_info") == 1
    assert value(after, "dagcall_workers_started_total") >= value(after, "dagcall_workers", state="idle") > 0
    assert value(after, "dagcall_dagruns_running") == value(after, "dagcall_runs_waited_for") == 0
    assert value(after, "dagcall_process_resident_memory_bytes") > 10 << 20
    counts = [value(one, "dagcall_calls_total", **one_run) for one in (*during, after)]
    assert counts == sorted(counts)


def test_a_worker_that_is_killed_is_counted(shared: Server) -> None:
    before = value(scrape(shared), "dagcall_workers_killed_total")
    shared.call("kills_itself")
    eventually(lambda: value(scrape(shared), "dagcall_workers_killed_total") > before, what="the count")
