"""Servers for tests: one that tests share, and as many of their own as they need."""

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

pytest.importorskip("airflow.sdk")

from dagcall.workers import processes

from .serving import Server, know_children

ServerFactory = Callable[..., Server]


@pytest.fixture(scope="session", autouse=True)
def adopt_what_escapes() -> None:
    """A process that outlives its server becomes a child of this one, where `serving.escaped` finds it."""
    know_children()
    processes.become_subreaper()


@pytest.fixture(scope="session")
def shared(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    """Serves all DAGs of this folder to tests that do it no lasting harm."""
    yield from serving(Server(tmp_path_factory.mktemp("shared"), workers=200))


@pytest.fixture
def serve(tmp_path: Path) -> Iterator[ServerFactory]:
    """Starts servers of this test's own. Those that the test has not ended must end well on SIGTERM."""
    started: list[Server] = []

    def start(**options: Any) -> Server:
        home = tmp_path / str(len(started))
        home.mkdir()
        server = Server(home, **options)
        started.append(server)
        server.wait_until_loaded()
        return server

    try:
        yield start
        for server in started:
            if server.process.poll() is None:
                server.stop()
    finally:
        for server in started:
            server.end()


def serving(server: Server) -> Iterator[Server]:
    """The life of a fixture: until all is loaded, then until SIGTERM, on which it must end well."""
    try:
        server.wait_until_loaded()
        yield server
        server.stop()
    finally:
        server.end()
