"""Stock Airflow beside dagcall, on one configuration: as a team has it that adds dagcall to its deployment.

Started once a session (api-server, scheduler, dag-processor; PostgreSQL), in about half a minute. Its DAGs are those of
this folder, none of them paused. Tests share it, so each calls runs and users its own.
"""

import sys
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any

import httpx
import pytest

from ..serving import Server, know_children

sys.path.insert(0, str(Path(__file__).parents[3] / "bench"))

from stock import Installation, Stock, Tuning

DAGS = Path(__file__).parent / "dags"
DAG_IDS = frozenset({"greeting", "shopping", "stumbling", "harvest", "bakery", "pondering", "asking"})
USERS = {"admin": "admin", "olga": "op", "ursula": "user", "victor": "viewer"}
QUICK = Tuning(
    "airflow",
    0.1,
    {
        "AIRFLOW__SCHEDULER__SCHEDULER_IDLE_SLEEP_TIME": "0.2",
        "AIRFLOW__CORE__PARALLELISM": "2",
        "AIRFLOW__DAG_PROCESSOR__PARSING_PROCESSES": "1",
        "AIRFLOW__DAG_PROCESSOR__MIN_FILE_PROCESS_INTERVAL": "600",
        "AIRFLOW__API__WORKERS": "1",
    },
)


class Airflow:
    """`environment` is what all of its components have, and what dagcall gets beside it."""

    def __init__(self, installation: Installation, stock: Stock, messages: Path) -> None:
        self.url = stock.url
        self.home = installation.home
        self.passwords: Mapping[str, str] = installation.passwords
        self.messages = messages
        self.environment = {name: value for name, value in stock.environment.items() if name.startswith("AIRFLOW")}
        self.database = self.environment["AIRFLOW__DATABASE__SQL_ALCHEMY_CONN"]
        self._stock = stock
        self._tokens: dict[str, str] = {}

    def token(self, user: str) -> str:
        """Log in at `POST /auth/token`; once a session, passwords are hashed slowly."""
        if user not in self._tokens:
            self._tokens[user] = self._stock.token_of(user)
        return self._tokens[user]

    def http(self, user: str = "admin") -> httpx.Client:
        """To be closed."""
        return httpx.Client(base_url=self.url, headers={"Authorization": f"Bearer {self.token(user)}"}, timeout=60)

    def get(self, path: str, user: str = "admin", **query: Any) -> Any:
        """Its answer to a GET below `/api/v2`, which must be a 200."""
        with self.http(user) as http:
            answer = http.get(f"/api/v2{path}", params=query)
        assert answer.status_code == 200, answer.text
        return answer.json()

    def said(self, component: str) -> str:
        """What `scheduler`, `api-server` or `dag-processor` has written so far."""
        return (self.messages / f"{QUICK.name}-{component}.txt").read_text()


@pytest.fixture(scope="session")
def airflow(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Airflow]:
    folder = tmp_path_factory.mktemp("airflow")
    messages = folder / "messages"
    messages.mkdir()
    installation = Installation(folder, messages, USERS, "fsync=off")
    try:
        installation.environment["AIRFLOW__CORE__DAGS_FOLDER"] = str(DAGS)
        installation.migrate()
        stock = Stock(installation, QUICK, DAG_IDS)
        know_children()  # they outlive every server of dagcall
        try:
            stock.wait_ready()
            yield Airflow(installation, stock, messages)
        finally:
            stock.stop()
    finally:
        installation.stop()


Beside = Callable[..., Server]


@pytest.fixture
def beside(airflow: Airflow, tmp_path: Path) -> Iterator[Beside]:
    """Starts servers of dagcall with the configuration of `airflow`, on its DAGs; `options` are those of `Server`."""
    yield from _starting(airflow, tmp_path)


@pytest.fixture(scope="module")
def beside_module(airflow: Airflow, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Beside]:
    """The same, for a server that the tests of a module share."""
    yield from _starting(airflow, tmp_path_factory.mktemp("beside"))


def _starting(airflow: Airflow, folder: Path) -> Iterator[Beside]:
    started: list[Server] = []

    def start(*, environment: Mapping[str, str] | None = None, dags: Path = DAGS, **options: Any) -> Server:
        home = folder / f"dagcall-{len(started)}"
        home.mkdir()
        server = Server(home, dags, environment=airflow.environment | dict(environment or {}), **options)
        started.append(server)
        server.wait_until_loaded("/health/ready")
        return server

    try:
        yield start
        for server in started:
            if server.process.poll() is None:
                server.stop()
    finally:
        for server in started:
            server.end()
