"""One caller's data never reaches another: not through the process, not through the DAG's objects."""

from collections import Counter
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest

from .conftest import serving
from .serving import Server


@pytest.fixture(scope="module")
def one_worker(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    """Every call is run by the process that ran the one before."""
    yield from serving(Server(tmp_path_factory.mktemp("isolation"), workers=1))


def test_a_spoilt_process_is_as_new_for_the_next_task(one_worker: Server) -> None:
    """Environment, cwd, umask, signals, sys.path, locale, time zone, limits, contextvars, ...: all of it is undone."""
    before = one_worker.value("tell")
    assert one_worker.value("tell") == before  # the same process, and nothing that changes by itself
    assert one_worker.value("spoil") == before["pid"]
    after = one_worker.value("tell")
    assert after["state"] == before["state"]
    assert after["pid"] == before["pid"]


def test_what_cannot_be_undone_ends_the_process(one_worker: Server) -> None:
    before = one_worker.value("tell")
    spoilt = one_worker.value("spoil_for_good")
    after = one_worker.value("tell")
    assert after["state"] == before["state"]
    assert after["pid"] != spoilt


TENANTS: dict[str, dict[str, Any]] = {
    "alice": {"tenant": "alice", "secret": "alice's", "bag": ["of alice"]},
    "none": {},
    "bob": {"tenant": "bob", "deep": {"list": ["bob's"]}},
}


def test_tenants_in_turn_on_one_worker_see_nothing_of_each_other(one_worker: Server) -> None:
    first = {name: one_worker.value("tenants", **params) for name, params in TENANTS.items()}
    _check(first)
    for _ in range(4):
        for name, params in TENANTS.items():
            assert one_worker.value("tenants", **params) == first[name], name


def test_tenants_at_once_see_nothing_of_each_other(shared: Server) -> None:
    first = {name: shared.value("tenants", **params) for name, params in TENANTS.items()}
    _check(first)
    names = list(TENANTS) * 10
    with ThreadPoolExecutor(16) as callers:
        answers = list(callers.map(lambda name: shared.value("tenants", **TENANTS[name]), names))
    wrong = Counter(name for name, answer in zip(names, answers, strict=True) if answer != first[name])
    assert not wrong


def _check(seen: dict[str, dict[str, Any]]) -> None:
    """What each tenant sees is its own."""
    for name, answer in seen.items():
        for other in TENANTS.keys() - {name, "none"}:
            assert other not in str(answer)
        reads, collects, mapped = answer["reads"], answer["collects"], answer["mapped"]
        params = TENANTS[name]
        assert reads["conf"] == params
        assert reads["params"]["tenant"] == params.get("tenant", "none")
        assert reads["params"]["bag"] == params.get("bag", [])
        assert reads["params"]["deep"] == params.get("deep", {"list": []})
        assert reads["params"]["mine"] == "default"
        assert "left" not in str(reads)
        assert reads["given"] == "{'list': [1], 'deep': {'list': [{'a': 1}]}}"
        assert reads["more"] == "(['literal'],)"
        assert reads["tags"] == ["tenants"]
        assert reads["doc"] == "of nobody"
        assert (reads["environ"], reads["context_environ"], reads["contextvar"]) == (None, [], "clean")
        tenant = params.get("tenant", "none")
        assert collects == {
            "text": f"{tenant} macro {params.get('secret', 'no secret')}",
            "items": [tenant],
            "nested": {"deep": {"list": [tenant]}},
            "plain_list": ["plain"],
            "seen": [],
            "count": 0,
            "surprise": None,
        }
        assert [one["item"] for one in mapped] == ["x", tenant]
        for one in mapped:
            assert one["shared"] == "['partial']"
            assert one["params"]["tenant"] == tenant
            assert one["params"]["bag"] == params.get("bag", [])
            assert "left" not in str(one)


def test_isolation_task_gives_every_task_a_process_of_its_own(shared: Server) -> None:
    pids = [pid for _ in range(5) for pid in shared.value("isolated")]
    assert len(set(pids)) == 10
