"""Many runs of one DAG at once, without a unique logical date, and what they cost."""

import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor

import pytest

from .serving import Server

CALLERS = 200


@pytest.fixture(scope="module")
def many_workers(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    server = Server(tmp_path_factory.mktemp("many"), workers=CALLERS)
    try:
        server.wait_until_loaded()
        yield server
        server.stop()
    finally:
        server.end()


def test_200_callers_each_get_their_own_answer(many_workers: Server) -> None:
    with ThreadPoolExecutor(CALLERS) as callers:
        answers = list(callers.map(lambda n: many_workers.value("squares", n=n), range(CALLERS)))
    assert [answer["n"] for answer in answers] == list(range(CALLERS))
    assert [answer["sum"] for answer in answers] == [n * n + (n + 1) * (n + 1) for n in range(CALLERS)]
    assert {answer["logical_date"] for answer in answers} == {None}
    assert len({answer["run_id"] for answer in answers}) == CALLERS


def test_200_tasks_that_wait_run_at_once_in_bounded_memory(many_workers: Server) -> None:
    """As many processes: none of them waits for another, and they share what they have in common."""
    begun = time.monotonic()
    with ThreadPoolExecutor(CALLERS) as callers:
        pids = list(callers.map(lambda _: many_workers.value("waits_two_seconds"), range(CALLERS)))
        took = time.monotonic() - begun
    memory = many_workers.memory()
    assert len(set(pids)) == CALLERS
    assert took < 4
    assert memory < 6 << 30
