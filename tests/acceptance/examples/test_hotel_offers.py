"""`hotel_offers` as its section in the README has it, as many guests at once use it, and where its sources fail."""

import json
import socket
import sqlite3
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing, contextmanager
from typing import Any

import pytest

from ..conftest import ServerFactory
from ..serving import Server, eventually
from .sections import ROOT, Command, commands, run

STAY = {"guest": "G-1001", "city": "Lisbon", "arrival": "2026-12-11"}
GUESTS = [f"G-{number}" for number in range(2000, 2030)]


@contextmanager
def database(server: Server) -> Iterator[sqlite3.Connection]:
    """The one that the example has made for this server."""
    (path,) = (server.home / "hotel_offers").glob("*.db")
    with closing(sqlite3.connect(path, timeout=30, isolation_level=None)) as connection:
        yield connection


def instances(server: Server, run_id: str) -> dict[tuple[str, int], dict[str, Any]]:
    path = f"/api/v2/dags/hotel_offers/dagRuns/{run_id}/taskInstances"
    return {(one["task_id"], one["map_index"]): one for one in server.http.get(path).json()["task_instances"]}


@pytest.mark.parametrize("command", commands("hotel_offers"), ids=["curl", "caller", "unknown guest"])
def test_the_readme_tells_what_happens(examples: Server, command: Command) -> None:
    assert command.prints, "each command of this section shows what it prints"
    run(command, examples)


def test_guests_at_once_get_their_own_offers(examples: Server) -> None:
    def ask(guest: str) -> dict[str, Any]:
        answer: dict[str, Any] = examples.value("hotel_offers", **{**STAY, "guest": guest})
        return answer

    with ThreadPoolExecutor(len(GUESTS)) as callers:
        answers = dict(zip(GUESTS, callers.map(ask, GUESTS), strict=True))
    for guest, answer in answers.items():
        alone = ask(guest)
        assert alone.pop("quote") != answer["quote"]
        assert alone == {name: value for name, value in answer.items() if name != "quote"}
    assert len({json.dumps(answer["offers"]) for answer in answers.values()}) > len(GUESTS) / 2, "they are personal"

    examples.wait_until_idle()
    with database(examples) as connection:
        for guest, answer in answers.items():
            assert connection.execute(
                "SELECT guest_id, name, level, closed_at >= opened_at FROM quote JOIN guest USING (guest_id)"
                " WHERE quote_id = ?",
                [answer["quote"]],
            ).fetchall() == [(guest, answer["guest"]["name"], answer["guest"]["level"], 1)]
            assert connection.execute(
                "SELECT hotel_id, total_cents FROM offered WHERE quote_id = ? ORDER BY place", [answer["quote"]]
            ).fetchall() == [(offer["hotel_id"], round(100 * offer["total"])) for offer in answer["offers"]]


# For each quote that is closed, the database counts nine million pairs first: about a second.
SLOW_CLOSING = """
    CREATE TRIGGER slow_closing BEFORE UPDATE OF closed_at ON quote
    BEGIN SELECT count(*) FROM stay AS one, stay AS other WHERE one.nights * other.nights < 0; END
"""


def test_the_answer_comes_before_the_teardown_ends(examples: Server) -> None:
    examples.value("hotel_offers", **STAY)
    examples.wait_until_idle()
    with database(examples) as connection:
        connection.execute(SLOW_CLOSING)
        try:
            answer = examples.call("hotel_offers", **STAY)
            closed = "SELECT closed_at IS NOT NULL FROM quote WHERE quote_id = ?"
            quote = [answer.json()["quote"]]
            assert connection.execute(closed, quote).fetchone() == (0,)
            assert examples.run_state(answer.headers["Location"]) == "running"

            eventually(lambda: examples.run_state(answer.headers["Location"]) != "running", 60, "the end of the run")
            assert connection.execute(closed, quote).fetchone() == (1,)
            ended = [
                event["data"] for event in events(examples, answer.headers["Location"]) if event["event"] == "task"
            ]
            assert ended[-1] == {"task_id": "close_quote", "map_index": -1, "state": "success", "try_number": 1}
        finally:
            connection.execute("DROP TRIGGER slow_closing")


def events(server: Server, path: str) -> list[dict[str, Any]]:
    answer = server.http.get(f"{path}/events", headers={"Accept": "application/x-ndjson"})
    return [json.loads(line) for line in answer.text.splitlines() if line.strip()]


def test_a_broken_rate_plan_costs_one_hotel_and_is_no_secret(examples: Server) -> None:
    answer = examples.value("hotel_offers", guest="G-1002", city="Porto", arrival="2026-12-11", max_offers=10)
    assert [offer["hotel"] for offer in answer["offers"]] == ["Market Inn", "Douro Terrace", "Foz Sea Hotel"]
    assert answer["notes"] == ["Ribeira Rooms: left out, its rates could not be had"]

    (failed,) = [one for one in instances(examples, answer["quote"]).values() if one["state"] == "failed"]
    assert failed["task_id"] == "fetch_rates"
    log = examples.http.get(
        f"/api/v2/dags/hotel_offers/dagRuns/{answer['quote']}/taskInstances/fetch_rates/logs/1",
        params={"map_index": failed["map_index"]},
        headers={"Accept": "application/json"},
    )
    assert "answered 500 for H-204: the rate plan has no price for 2026-12-11" in log.text

    in_summer = examples.value("hotel_offers", guest="G-1002", city="Porto", arrival="2027-06-11", max_offers=10)
    assert "Ribeira Rooms" in [offer["hotel"] for offer in in_summer["offers"]]
    assert in_summer["notes"] == []


def test_without_any_rates_the_call_fails_and_the_quote_is_closed(serve: ServerFactory) -> None:
    with socket.socket() as nobody:  # bound, but it does not listen: connections are refused
        nobody.bind(("127.0.0.1", 0))
        service = {"conn_type": "http", "host": "127.0.0.1", "port": nobody.getsockname()[1]}
        server = serve(dags=ROOT / "examples" / "dags", environment={"AIRFLOW_CONN_HOTEL_RATES": json.dumps(service)})
        answer = server.call("hotel_offers", **STAY)
        assert answer.status_code == 500, answer.text
        problem = answer.json()
        assert problem["failed_task"] == "fetch_rates"
        assert problem["error"]["type"] == "NoRates"
        server.wait_until_idle()
        assert instances(server, problem["run_id"])["close_quote", -1]["state"] == "success"
        with database(server) as connection:
            (row,) = connection.execute("SELECT quote_id, closed_at IS NOT NULL FROM quote")
            assert row == (problem["run_id"], 1)
        assert server.strangers() == [], "no service is started where one is named"
