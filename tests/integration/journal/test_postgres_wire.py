"""Texts between servers over a real PostgreSQL: who hears them, and how a lost connection comes back."""

import asyncio
from collections.abc import Awaitable, Callable
from contextlib import AsyncExitStack
from typing import Any

import psycopg2

from dagcall.journal.postgres_database import Database
from dagcall.journal.postgres_wire import PostgresWire, channel
from dagcall.journal.wire import EVERYBODY, LONGEST
from dagcall.testing.postgres_server import PostgresServer


class Station:
    """A server's end of the wire, and what it has heard."""

    def __init__(self, url: str) -> None:
        async def no_rows(*_: object) -> list[Any]:
            return []

        self.wire = PostgresWire(Database(url), no_rows)
        self.heard: list[str] = []
        self.connections = 0
        self._news = asyncio.Event()

    async def open(self, epoch: int) -> None:
        await self.wire.open(epoch, self._received, self._connected)

    def _received(self, text: str) -> None:
        self.heard.append(text)
        self._news.set()

    def _connected(self) -> None:
        self.connections += 1
        self._news.set()

    async def until(self, fact: Callable[[], bool]) -> None:
        async with asyncio.timeout(60):
            while not fact():
                self._news.clear()
                await self._news.wait()


Play = Callable[..., Awaitable[None]]


def play(act: Play, *urls: str) -> None:
    async def main() -> None:
        async with AsyncExitStack() as stack:
            stations = []
            for epoch, url in enumerate(urls, 1):
                station = Station(url)
                stack.push_async_callback(station.wire.close)
                await station.open(epoch)
                stations.append(station)
            await act(*stations)

    asyncio.run(main())


def end_connections(postgres: PostgresServer) -> int:
    with psycopg2.connect(postgres.url()) as connection, connection.cursor() as cursor:
        cursor.execute(
            "SELECT count(pg_terminate_backend(pid, 5000)) FROM pg_stat_activity "
            "WHERE application_name = 'dagcall journal wire'"
        )
        (count,) = cursor.fetchone() or (0,)
        return int(count)


def test_a_text_arrives_where_it_is_for(postgres: PostgresServer) -> None:
    texts = ["a", "'; DROP TABLE runs; --", "\u00fc\U0001f600\n\\", "x" * LONGEST]

    async def act(first: Station, second: Station, third: Station, stranger: Station) -> None:
        await first.wire.send([(2, text) for text in texts])
        await second.until(lambda: second.heard == texts)
        await first.wire.send([(EVERYBODY, "all"), (2, "one")])
        await second.until(lambda: second.heard[-1:] == ["one"])
        await third.until(lambda: third.heard == ["all"])
        await stranger.wire.send([(EVERYBODY, "end"), (4, "end")])
        await stranger.until(lambda: len(stranger.heard) == 2)
        assert stranger.heard == ["end", "end"], "another journal's servers are others"
        assert second.heard == [*texts, "all", "one"]

    url = postgres.url(schema="wire")
    play(act, url, url, url, postgres.url(schema="wire_of_another"))


def test_a_connection_that_was_lost_is_made_again(postgres: PostgresServer) -> None:
    async def act(first: Station, second: Station) -> None:
        assert end_connections(postgres) == 2
        await first.until(lambda: first.connections == 2)
        await second.until(lambda: second.connections == 2)
        await first.wire.send([(2, "again")])
        await second.until(lambda: second.heard == ["again"])

    url = postgres.url(schema="wire")
    play(act, url, url)


def test_what_cannot_be_sent_is_lost_without_an_error(postgres: PostgresServer) -> None:
    async def act(first: Station, second: Station) -> None:
        end_connections(postgres)
        await first.wire.send([(2, "lost, maybe")])
        await first.until(lambda: first.connections == 2)
        await first.wire.send([(2, "y" * 9000)])  # longer than PostgreSQL takes: this connection is given up, too
        await first.until(lambda: first.connections == 3)
        await second.until(lambda: second.connections == 2)
        await first.wire.send([(2, "heard")])
        await second.until(lambda: "heard" in second.heard)

    url = postgres.url(schema="wire")
    play(act, url, url)


def test_channels_are_names_that_any_schema_and_epoch_has() -> None:
    names = {channel(schema, epoch) for schema in ("a", "a_1", "x" * 63) for epoch in (EVERYBODY, 1, 2**63 - 1)}
    assert len(names) == 9
    assert all(name.isidentifier() and len(name) < 64 for name in names)
