"""What the journal in PostgreSQL does when the database, or the way to it, fails: nothing lost, nothing twice, nobody
told what is not so."""

import asyncio
import logging
from collections.abc import Awaitable, Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from uuid import uuid4

import psycopg2
import pytest

from dagcall.errors import JournalAway, JournalError, RunExists
from dagcall.journal.base import HeadQuery
from dagcall.journal.postgres import PostgresJournal
from dagcall.journal.postgres_writer import Patience
from dagcall.journal.store import Put
from dagcall.model.assets import AssetChanges, Queued
from dagcall.model.ids import RunKey
from dagcall.model.states import RunState
from dagcall.testing.journal_suite import KEY, first_batch, head_for, next_batch
from dagcall.testing.postgres_server import PostgresServer

from .cut_connections import Cutter, How

HOWS: tuple[How, ...] = ("unsent", "unheard", "half-open")


@pytest.fixture
def schema() -> str:
    return f"fault_{uuid4().hex}"


@contextmanager
def database(postgres: PostgresServer) -> Iterator[psycopg2.extensions.cursor]:
    connection = psycopg2.connect(postgres.url())
    connection.autocommit = True
    try:
        with connection.cursor() as cursor:
            yield cursor
    finally:
        connection.close()


def end_connections(postgres: PostgresServer) -> None:
    with database(postgres) as cursor:
        cursor.execute(
            "SELECT pg_terminate_backend(pid, 5000) FROM pg_stat_activity "
            "WHERE application_name LIKE 'dagcall journal%' AND pid <> pg_backend_pid()"
        )


def run(journal: PostgresJournal, test: Callable[[], Awaitable[None]]) -> None:
    async def main() -> None:
        await journal.open()
        try:
            await test()
        finally:
            await journal.close()

    asyncio.run(main())


def run_cut(postgres: PostgresServer, schema: str, test: Callable[[PostgresJournal, Cutter], Awaitable[None]]) -> None:
    """Run `test` on a journal that reaches its database through a cutter; then look at it without one."""

    async def main() -> None:
        async with Cutter(postgres.port).serving() as cutter:
            journal = PostgresJournal(f"postgresql://postgres@127.0.0.1:{cutter.port}/postgres?schema={schema}")
            await journal.open()
            try:
                await test(journal, cutter)
                assert cutter.cuts == 1
                assert journal.trouble is None
            finally:
                await journal.close()

    asyncio.run(main())


@pytest.mark.parametrize("how", HOWS)
def test_batches_on_a_connection_that_is_lost_are_kept_once(postgres: PostgresServer, schema: str, how: How) -> None:
    async def test(journal: PostgresJournal, cutter: Cutter) -> None:
        other = head_for(RunKey("shop", "other"))
        for head in (head_for(), other):
            await journal.append(first_batch(head))
        marked = next_batch(head_for(), 2)
        marked = replace(marked, records=(replace(marked.records[0], data={"mark": "cut here"}), marked.records[1]))
        cutter.cut(b"cut here", how)
        futures = [journal.append(marked), journal.append(next_batch(other)), journal.append(next_batch(marked.head))]
        assert await asyncio.gather(*futures) == [None] * 3
        assert [record.id for record in await journal.records(KEY)] == [1, 2, 3, 4]
        assert [record.id for record in await journal.records(other.key)] == [1, 2]

    run_cut(postgres, schema, test)


@pytest.mark.parametrize("how", HOWS)
def test_who_began_a_run_is_told_and_who_did_not_is_not(postgres: PostgresServer, schema: str, how: How) -> None:
    """Whether an id was taken is part of the answer that is lost."""

    async def test(journal: PostgresJournal, cutter: Cutter) -> None:
        ended = head_for(RunKey("shop", "ended"), logical_date=7.0)
        await journal.append(first_batch(ended))
        await journal.append(next_batch(ended, state=RunState.SUCCESS))
        cutter.cut(b"cut here", how)
        results = await asyncio.gather(
            journal.append(first_batch(head_for(ended.key))),
            journal.append(first_batch(head_for(note="cut here"))),
            journal.append(first_batch(head_for(RunKey("shop", "same date"), logical_date=7.0))),
            journal.append(next_batch(head_for(note="cut here"))),
            return_exceptions=True,
        )
        assert [type(one) for one in results] == [RunExists, type(None), RunExists, type(None)]
        assert "logical date" in str(results[2])
        assert [record.id for record in await journal.records(KEY)] == [1, 2]
        assert await journal.head(RunKey("shop", "same date")) is None

    run_cut(postgres, schema, test)


@pytest.mark.parametrize("how", HOWS)
def test_a_transaction_of_several_statements_is_kept_once(postgres: PostgresServer, schema: str, how: How) -> None:
    async def test(journal: PostgresJournal, cutter: Cutter) -> None:
        queued = Queued("shop", 1, 5.0)
        cutter.cut(b"COMMIT", how)
        first = first_batch(head_for())
        kept, numbers, refused = await asyncio.gather(
            journal.append(replace(first, assets=AssetChanges(queued=(queued,)))),
            journal.store.write(Put("k", "a", b"1", 1.0), Put("k", "b", b"2", 1.0)),
            journal.append(first),
            return_exceptions=True,
        )
        assert kept is None
        assert [item.number for item in await journal.store.items("k")] == numbers
        assert isinstance(refused, RunExists)
        assert (await journal.assets.load()).queued == (queued,)
        assert len(await journal.records(KEY)) == 1

    run_cut(postgres, schema, test)


def test_runs_go_on_while_the_database_is_killed_again_and_again(postgres: PostgresServer, schema: str) -> None:
    journal = PostgresJournal(postgres.url(schema=schema), patience=Patience(60.0, 60.0))
    restarts = 3
    done = 0
    told: dict[RunKey, int] = {}

    progress = asyncio.Semaphore(0)

    async def one(number: int) -> None:
        head = head_for(RunKey("shop", str(number)))
        await journal.append(first_batch(head))
        told[head.key] = 1
        while done < restarts:
            batch = next_batch(head)
            await journal.append(batch)
            head = batch.head
            told[head.key] = head.last_record
            progress.release()

    async def test() -> None:
        nonlocal done
        runs = [asyncio.create_task(one(number)) for number in range(20)]
        for _ in range(restarts):
            for _ in range(100):
                await progress.acquire()
            await asyncio.to_thread(postgres.restart)
            done += 1
        await asyncio.gather(*runs)
        for key, last in told.items():
            assert [record.id for record in await journal.records(key)] == [*range(1, last + 1)]

    run(journal, test)


def test_connections_that_an_administrator_ends_are_made_again(postgres: PostgresServer, schema: str) -> None:
    journal = PostgresJournal(postgres.url(schema=schema))

    async def test() -> None:
        head = head_for()
        await journal.append(first_batch(head))
        assert await journal.head(KEY) == head
        for _ in range(3):
            end_connections(postgres)
            batch = next_batch(head)
            read, _ = await asyncio.gather(journal.records(KEY), journal.append(batch))
            assert len(read) in (head.last_record, batch.head.last_record)
            head = batch.head
        assert await journal.head(KEY) == head

    run(journal, test)


def test_while_the_database_is_away_runs_wait_and_calls_are_refused(postgres: PostgresServer, schema: str) -> None:
    journal = PostgresJournal(postgres.url(schema=schema), patience=Patience(0.3, 0.3))

    async def test() -> None:
        head = head_for()
        await journal.append(first_batch(head))
        postgres.stop()
        try:
            undecided = journal.append(first_batch(head_for(RunKey("shop", "undecided"))))  # on its way already
            with pytest.raises(JournalAway):
                await journal.head(KEY)
            assert journal.trouble is not None
            assert journal.trouble.reason.endswith("cannot be reached or used now: Connection refused")
            going_on = journal.append(next_batch(head))
            for refused in (
                journal.append(first_batch(head_for(RunKey("shop", "refused")))),
                journal.store.write(Put("k", "a", b"", 1.0)),
            ):
                with pytest.raises(JournalAway):
                    await refused
            assert not going_on.done()
            assert not undecided.done()
        finally:
            postgres.start()
        await undecided
        await going_on
        assert journal.trouble is None
        await journal.append(first_batch(head_for(RunKey("shop", "later"))))
        heads, _ = await journal.list_heads(HeadQuery())
        assert [(one.key.run_id, one.last_record) for one in heads] == [(KEY.run_id, 2), ("undecided", 1), ("later", 1)]

    run(journal, test)


def test_closing_does_not_wait_for_a_database_that_is_away(
    postgres: PostgresServer, schema: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("dagcall.journal.postgres_writer.CLOSE_LIMIT", 0.2)
    journal = PostgresJournal(postgres.url(schema=schema))

    async def test() -> None:
        await journal.append(first_batch(head_for()))
        postgres.stop()
        try:
            last = journal.append(next_batch(head_for()))
            await journal.close()
            with pytest.raises(JournalError, match="closed while away"):
                await last
        finally:
            postgres.start()

    run(journal, test)


def test_a_lock_that_somebody_holds_keeps_nobody_but_its_waiters(postgres: PostgresServer, schema: str) -> None:
    journal = PostgresJournal(postgres.url(schema=schema), patience=Patience(0.3, 0.3))

    async def test() -> None:
        head = head_for()
        await journal.append(first_batch(head))
        with database(postgres) as cursor:
            cursor.execute(f"BEGIN; LOCK TABLE {schema}.runs, {schema}.records")
            going_on = journal.append(next_batch(head))
            reads = [asyncio.ensure_future(journal.records(KEY)) for _ in range(20)]
            results = await asyncio.gather(*reads[5:], return_exceptions=True)
            assert {type(one) for one in results} == {JournalAway}  # the pool is bounded, and so is the wait for it
            assert not going_on.done()
            cursor.execute("ROLLBACK")
        await going_on
        assert len(await journal.records(KEY)) == 2
        await asyncio.gather(*reads, return_exceptions=True)

    run(journal, test)


def test_what_only_the_database_can_refuse_is_refused_alone(postgres: PostgresServer, schema: str) -> None:
    journal = PostgresJournal(postgres.url(schema=schema))

    async def test() -> None:
        heads = [head_for(RunKey("shop", name)) for name in ("a", "bad", "b")]
        heads[1] = replace(heads[1], outcome="no\0text")
        write = journal.store.write(Put("k", "a", b"", 1.0))
        results = await asyncio.gather(
            *(journal.append(first_batch(head)) for head in heads), write, return_exceptions=True
        )
        assert [type(one) for one in results] == [type(None), JournalError, type(None), list]
        assert [head.key.run_id for head in await journal.unfinished()] == ["a", "b"]

    run(journal, test)


def test_a_database_that_lost_commits_is_found_out(
    postgres: PostgresServer, schema: str, caplog: pytest.LogCaptureFixture
) -> None:
    """As after a fail-over to a standby that lagged behind."""
    journal = PostgresJournal(postgres.url(schema=schema))

    async def test() -> None:
        lost, whole = head_for(), head_for(RunKey("shop", "whole"))
        await journal.append(first_batch(whole))
        await journal.append(first_batch(lost))
        await journal.append(next_batch(lost))
        with database(postgres) as cursor:
            cursor.execute(f"DELETE FROM {schema}.records WHERE id = 2")
            cursor.execute(f"UPDATE {schema}.servers SET last_group = last_group - 1")
        end_connections(postgres)
        with pytest.raises(JournalError, match="expected record 2"):
            await journal.append(next_batch(replace(lost, last_record=2)))
        await journal.append(next_batch(whole))

    with caplog.at_level(logging.ERROR):
        run(journal, test)
    assert "has lost what it had acknowledged" in caplog.text


def test_a_server_that_starts_waits_for_its_database(
    postgres: PostgresServer, schema: str, caplog: pytest.LogCaptureFixture
) -> None:
    journal = PostgresJournal(postgres.url(schema=schema))

    async def main() -> None:
        opening = asyncio.ensure_future(journal.open())
        while "trying again" not in caplog.text:
            assert not opening.done()
            await asyncio.sleep(0)
        assert journal.trouble is not None
        postgres.start()
        assert await opening
        assert journal.trouble is None
        await journal.close()

    postgres.stop()
    try:
        with caplog.at_level(logging.WARNING):
            asyncio.run(main())
    finally:
        if postgres.process is None:
            postgres.start()


def test_a_server_that_starts_does_not_wait_for_ever(postgres: PostgresServer, schema: str) -> None:
    journal = PostgresJournal(postgres.url(schema=schema), patience=Patience(0, 0, start=0.1))
    postgres.stop()
    try:
        with pytest.raises(JournalAway, match="Connection refused"):
            asyncio.run(journal.open())
    finally:
        postgres.start()


def test_a_password_is_in_no_message(postgres: PostgresServer, caplog: pytest.LogCaptureFixture) -> None:
    async def refused(url: str) -> str:
        with pytest.raises(JournalError) as raised:
            await PostgresJournal(url, patience=Patience(0, 0, start=0)).open()
        return repr(raised.value) + str(raised.value) + str(raised.getrepr(showlocals=False))

    async def main() -> None:
        for url in (
            "postgresql://postgres:geheim@127.0.0.1:1/postgres",
            f"postgresql://postgres:geheim@127.0.0.1:{postgres.port}/nowhere",
            f"postgresql://nobody:geheim@127.0.0.1:{postgres.port}/postgres",
        ):
            assert "geheim" not in (await refused(url)).replace(url, "")

    with caplog.at_level(logging.DEBUG):
        asyncio.run(main())
    assert "geheim" not in caplog.text
