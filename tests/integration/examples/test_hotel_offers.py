"""`hotel_offers` under stock Airflow, and the sample systems that it brings: a database and a service."""

from __future__ import annotations

import json
import sqlite3
import subprocess
import sys
from collections.abc import Iterator
from contextlib import ExitStack, closing, contextmanager
from pathlib import Path
from typing import IO, Any

import httpx
import psutil
import pytest

from .conftest import EXAMPLES, UnderStock

STAY = {"guest": "G-1001", "city": "Lisbon", "arrival": "2026-12-11", "nights": 3}
PORTO = {"guest": "G-1002", "city": "Porto", "arrival": "2026-12-11"}


@pytest.fixture(scope="module")
def runs(under_stock: UnderStock) -> dict[str, dict[str, Any]]:
    confs = {
        "all": STAY,
        "broken plan": PORTO,
        "no such guest": {**STAY, "guest": "G-9999"},
        "no such room": {"guest": "G-1003", "city": "Vienna", "arrival": "2027-07-01", "adults": 5},
    }
    return dict(zip(confs, under_stock("hotel_offers", "rank_offers", *confs.values()), strict=True))


def states(run: dict[str, Any], task_id: str) -> list[str]:
    return [state for task, _, state in run["tasks"] if task == task_id]


def test_offers_of_all_hotels(runs: dict[str, dict[str, Any]]) -> None:
    run = runs["all"]
    assert run["state"] == "success"
    assert states(run, "fetch_rates") == ["success"] * 5
    assert {state for _, _, state in run["tasks"]} == {"success"}
    answer = run["result"]
    assert answer["guest"] == {"name": "Ada Mota", "level": "platinum"}
    assert [offer["hotel"] for offer in answer["offers"]] == ["Miradouro Palace", "Parque Garden", "Alfama Steps"]
    assert answer["notes"] == []


def test_one_broken_rate_plan_costs_one_hotel(runs: dict[str, dict[str, Any]]) -> None:
    run = runs["broken plan"]
    assert run["state"] == "success"
    assert states(run, "fetch_rates") == ["success", "success", "success", "failed"]
    assert states(run, "gather_rates") == states(run, "close_quote") == ["success"]
    assert len(run["result"]["offers"]) == 3
    assert run["result"]["notes"] == ["Ribeira Rooms: left out, its rates could not be had"]


def test_an_unknown_guest_fails_the_run(runs: dict[str, dict[str, Any]]) -> None:
    run = runs["no such guest"]
    assert run["state"] == "failed"
    assert states(run, "open_quote") == ["failed"]
    assert states(run, "rank_offers") == states(run, "close_quote") == ["upstream_failed"]
    assert run["result"] is None


def test_no_room_that_is_large_enough_is_an_answer(runs: dict[str, dict[str, Any]]) -> None:
    run = runs["no such room"]
    assert run["state"] == "success"
    assert states(run, "fetch_rates") == states(run, "gather_rates") == ["skipped"]
    assert run["result"]["offers"] == []
    assert run["result"]["notes"] == ["No hotel in Vienna has a room for 5."]


def test_quotes_are_kept_with_their_offers_and_closed(
    runs: dict[str, dict[str, Any]], stock_environment: dict[str, str]
) -> None:
    (path,) = Path(stock_environment["AIRFLOW_HOME"], "hotel_offers").glob("*.db")
    with closing(sqlite3.connect(path)) as database:
        closed = dict(database.execute("SELECT quote_id, closed_at >= opened_at FROM quote"))
        kept = database.execute(
            "SELECT quote_id, hotel_id, total_cents FROM offered ORDER BY quote_id, place"
        ).fetchall()
    answers = [run["result"] for run in runs.values() if run["result"]]
    assert closed == {answer["quote"]: 1 for answer in answers}
    assert sorted(kept, key=lambda row: row[0]) == [
        (answer["quote"], offer["hotel_id"], round(100 * offer["total"]))
        for answer in sorted(answers, key=lambda each: each["quote"])
        for offer in answer["offers"]
    ]


# As in a process that parses the DAG file: nothing but this folder and the installed packages.
SAMPLE = f"import os, sys; sys.path.append({str(EXAMPLES / 'dags')!r}); from hotel_offers_lib import sample\n"


def a_process(code: str, *arguments: str) -> subprocess.Popen[str]:
    command = [sys.executable, "-c", SAMPLE + code, *arguments]
    return subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)


def test_processes_that_make_the_database_at_once_get_the_same_one(tmp_path: Path) -> None:
    # All of them have imported everything before the first may begin.
    code = """
import pathlib
print("ready", flush=True)
sys.stdin.readline()
path = sample.make_database(pathlib.Path(sys.argv[1]))
print(path, path.stat().st_ino)
"""
    with ExitStack() as processes:
        makers = [processes.enter_context(a_process(code, str(tmp_path))) for _ in range(4)]
        for maker in makers:
            assert output(maker).readline() == "ready\n"
        for maker in makers:
            assert maker.stdin is not None
            maker.stdin.close()
        made = {output(maker).read() for maker in makers}
    assert len(made) == 1
    path = made.pop().rpartition(" ")[0]
    assert list(tmp_path.iterdir()) == [Path(path)], "drafts are removed"
    with closing(sqlite3.connect(path)) as database:
        assert database.execute("SELECT count(*) FROM guest").fetchone() == (1004,)
        assert database.execute("PRAGMA integrity_check").fetchone() == ("ok",)
        assert database.execute("PRAGMA foreign_key_check").fetchall() == []


@contextmanager
def a_service(after: str = "") -> Iterator[tuple[str, psutil.Process, subprocess.Popen[str]]]:
    """Its address, its process, and the process that has started it, which then does `after` and waits for input."""
    code = "print(sample.start_rate_service(), sample._services[0].pid, flush=True)\n"
    with a_process(f"{code}{after}\nsys.stdin.read()") as starter:
        port, pid = output(starter).readline().split()
        yield f"http://127.0.0.1:{port}", psutil.Process(int(pid)), starter


def output(process: subprocess.Popen[str]) -> IO[str]:
    assert process.stdout is not None
    return process.stdout


def ask(address: str, path: str = "/hotels/H-101/rates", **query: str) -> httpx.Response:
    stay = {"arrival": "2026-12-11", "nights": "2", "level": "gold"}
    return httpx.get(f"{address}{path}", params=stay | query, trust_env=False)


def test_the_service_answers_from_the_moment_it_is_named() -> None:
    with a_service() as (address, _, _):
        answer = ask(address)
        assert answer.status_code == 200
        assert answer.json() == {
            "hotel_id": "H-101",
            "currency": "EUR",
            "rooms": [{"room": "double", "total_cents": round(2 * 10400 * 1.12 * 0.95)}],
        }
        assert ask(address, "/hotels/H-999/rates").status_code == 404
        broken = ask(address, "/hotels/H-204/rates")
        assert broken.status_code == 500
        assert broken.json() == {"error": "the rate plan has no price for 2026-12-11"}


def test_the_service_ends_with_a_process_that_is_killed() -> None:
    with a_service() as (address, service, starter):
        assert ask(address).status_code == 200
        starter.kill()
        service.wait(10)


def test_the_service_lives_as_long_as_a_fork_of_its_starter() -> None:
    with a_service("if os.fork(): os._exit(0)") as (address, service, starter):
        assert starter.wait(10) == 0
        assert ask(address).status_code == 200
        assert starter.stdin is not None
        starter.stdin.close()  # which the fork waits for
        service.wait(10)


def test_systems_that_the_deployment_names_are_left_alone(tmp_path: Path) -> None:
    code = """
os.environ.update(AIRFLOW_HOME=sys.argv[1], AIRFLOW_CONN_HOTEL_DATABASE="mine", AIRFLOW_CONN_HOTEL_RATES="mine too")
sample.use_sample_systems()
import json
print(json.dumps([os.environ["AIRFLOW_CONN_HOTEL_DATABASE"], os.environ["AIRFLOW_CONN_HOTEL_RATES"], sample._services]))
"""
    with a_process(code, str(tmp_path)) as process:
        named = json.load(output(process))
    assert named == ["mine", "mine too", []]
    assert list(tmp_path.iterdir()) == []
