"""The schema in PostgreSQL, forward and back, under older and newer code."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any
from uuid import uuid4

import asyncpg
import pytest

from dagcall.errors import JournalError, JournalLocked
from dagcall.journal.postgres import PostgresJournal
from dagcall.journal.postgres_schema import STEPS, Step, downgrade, lock_key, upgrade
from dagcall.journal.store import Put
from dagcall.model.states import RunState
from dagcall.testing.journal_suite import KEY, first_batch, head_for, next_batch
from dagcall.testing.postgres_server import PostgresServer

NEWER = Step(
    len(STEPS) + 1,
    "newer",
    "ALTER TABLE runs ADD COLUMN newer TEXT NOT NULL DEFAULT 'x'; CREATE TABLE newer (one INTEGER)",
    "ALTER TABLE runs DROP COLUMN newer; DROP TABLE newer",
)
BREAKING = Step(len(STEPS) + 1, "breaking", "-- breaking: a name\nALTER TABLE runs RENAME TO calls", "")


@pytest.fixture
def schema() -> str:
    return f"steps_{uuid4().hex}"


@asynccontextmanager
async def connected(postgres: PostgresServer, schema: str) -> AsyncIterator[Any]:
    connection = await asyncpg.connect(postgres.url(), server_settings={"search_path": schema})
    try:
        yield connection
    finally:
        await connection.close()


@asynccontextmanager
async def opened(postgres: PostgresServer, schema: str) -> AsyncIterator[PostgresJournal]:
    journal = PostgresJournal(postgres.url(schema=schema))
    await journal.open()
    try:
        yield journal
    finally:
        await journal.close()


async def use(journal: PostgresJournal, key: str) -> None:
    """Every table that a run needs."""
    head = head_for(KEY._replace(run_id=key))
    await journal.append(first_batch(head))
    await journal.append(next_batch(head, state=RunState.SUCCESS))
    await journal.store.write(Put("k", key, b"", 1.0))
    assert len(await journal.records(head.key)) == 2


async def tables(connection: Any, schema: str) -> dict[str, Any]:
    rows = await connection.fetch(
        "SELECT table_name, column_name, data_type, column_default FROM information_schema.columns "
        "WHERE table_schema = $1 ORDER BY 1, 2",
        schema,
    )
    return {f"{row[0]}.{row[1]}": (row[2], row[3]) for row in rows}


def test_new_code_brings_an_old_schema_up_to_date(postgres: PostgresServer, schema: str) -> None:
    async def test() -> None:
        async with connected(postgres, schema) as connection:
            await upgrade(connection, "journal", schema, STEPS[:1])
            await connection.execute("INSERT INTO plans (dag_id, version, plan) VALUES ('d', 'v', 'p')")
            async with opened(postgres, schema) as journal:
                await use(journal, "a")
            assert await connection.fetchval("SELECT count(*) FROM plans") == 1
            assert await connection.fetchval("SELECT count(*) FROM schema_steps") == len(STEPS)

    asyncio.run(test())


def test_old_code_works_on_a_newer_schema_that_only_adds(postgres: PostgresServer, schema: str) -> None:
    async def test() -> None:
        async with connected(postgres, schema) as connection:
            async with opened(postgres, schema) as journal:
                await use(journal, "before")
                await upgrade(connection, "journal", schema, (*STEPS, NEWER))  # under a server that goes on
                await use(journal, "meanwhile")
            async with opened(postgres, schema) as journal:
                await use(journal, "after")
            assert await connection.fetchval("SELECT count(*) FROM runs WHERE newer = 'x'") == 3

    asyncio.run(test())


def test_old_code_refuses_a_schema_that_says_it_is_breaking(postgres: PostgresServer, schema: str) -> None:
    async def test() -> None:
        async with connected(postgres, schema) as connection:
            await upgrade(connection, "journal", schema, (*STEPS, BREAKING))
            with pytest.raises(JournalError, match=r"step \d+ \(breaking\) of a newer dagcall"):
                await PostgresJournal(postgres.url(schema=schema)).open()

    asyncio.run(test())


def test_every_step_can_be_undone_and_done_again(postgres: PostgresServer, schema: str) -> None:
    async def test() -> None:
        async with connected(postgres, schema) as connection:
            made = []
            for count in range(len(STEPS) + 1):
                await upgrade(connection, "journal", schema, STEPS[:count])
                made.append(await tables(connection, schema))
            for count in range(len(STEPS), -1, -1):
                await downgrade(connection, schema, count)
                assert await tables(connection, schema) == made[count]
            async with opened(postgres, schema) as journal:
                await use(journal, "a")

    asyncio.run(test())


def test_a_newer_step_is_undone_by_who_knows_it(postgres: PostgresServer, schema: str) -> None:
    async def test() -> None:
        async with connected(postgres, schema) as connection:
            await upgrade(connection, "journal", schema, (*STEPS, NEWER))
            with pytest.raises(JournalError, match="unknown here"):
                await downgrade(connection, schema, 0)
            await downgrade(connection, schema, len(STEPS), (*STEPS, NEWER))
            async with opened(postgres, schema) as journal:
                await use(journal, "a")

    asyncio.run(test())


def test_of_servers_that_start_at_once_one_migrates_and_all_have_the_journal(
    postgres: PostgresServer, schema: str
) -> None:
    async def test() -> None:
        journals = [PostgresJournal(postgres.url(schema=schema)) for _ in range(3)]
        assert sorted(await asyncio.gather(*(journal.open() for journal in journals))) == [1, 2, 3]
        await asyncio.gather(*(use(journal, str(number)) for number, journal in enumerate(journals)))
        await asyncio.gather(*(journal.close() for journal in journals))
        async with connected(postgres, schema) as connection:
            numbers = [row[0] for row in await connection.fetch("SELECT number FROM schema_steps ORDER BY number")]
            assert numbers == [step.number for step in STEPS]

    asyncio.run(test())


def test_a_server_of_an_older_version_and_new_ones_keep_each_other_out(postgres: PostgresServer, schema: str) -> None:
    """It takes this lock for itself, knows no leases, and fences all others when it has the lock."""
    lock = f"({0x64616763}, {lock_key(schema)})"

    async def test() -> None:
        async with connected(postgres, schema) as connection:
            async with opened(postgres, schema) as journal:
                await use(journal, "new")
                assert not await connection.fetchval(f"SELECT pg_try_advisory_lock{lock}")
            assert await connection.fetchval(f"SELECT pg_try_advisory_lock{lock}")
            await connection.execute("INSERT INTO servers (epoch, host, pid) VALUES (2, 'elsewhere', 7)")
            await connection.execute("UPDATE servers SET fenced_by = 2 WHERE epoch = 1")
            with pytest.raises(JournalLocked, match=r"process 7 on elsewhere, epoch 2\) has it open"):
                await PostgresJournal(postgres.url(schema=schema)).open()
            await connection.execute(f"SELECT pg_advisory_unlock{lock}")
            async with opened(postgres, schema):
                assert await connection.fetchval("SELECT fenced_by FROM servers WHERE epoch = 2") == 3

    asyncio.run(test())


def test_a_journal_needs_utf_8(postgres: PostgresServer) -> None:
    async def test() -> None:
        async with connected(postgres, "public") as connection:
            await connection.execute("CREATE DATABASE latin ENCODING 'LATIN1' LOCALE 'C' TEMPLATE template0")
        with pytest.raises(JournalError, match="LATIN1"):
            await PostgresJournal(postgres.url("latin")).open()

    asyncio.run(test())
