"""The care of a journal in PostgreSQL from outside of a server: looked at, while one serves or none does.

Changes nothing: no lock is taken, no epoch, no step of the schema. Packing and copying are PostgreSQL's own (VACUUM,
pg_dump), and so are checksums of what is on the disk: what is found here is what does not fit together.
"""

from collections.abc import AsyncIterator

from dagcall.errors import JournalError
from dagcall.journal.encoding import decode_plan, decode_record
from dagcall.journal.postgres_database import Database
from dagcall.journal.postgres_schema import check_current, statement
from dagcall.journal.rows import head_of
from dagcall.journal.stored_run import StoredRun
from dagcall.model.ids import RunKey


async def runs(database: Database) -> AsyncIterator[StoredRun]:
    """Every run, the damaged ones too. Raises `JournalError`."""
    try:
        async with database.readers() as pool, pool.acquire() as connection:
            await check_current(connection, database.name)
            keys = await connection.fetch("SELECT dag_id, run_id FROM runs ORDER BY run")
            for key in keys:
                # A server may be writing: head and records must be of one moment.
                async with connection.transaction(isolation="repeatable_read"):
                    run = await _stored(connection, RunKey(*key))
                if run is not None:
                    yield run
    except JournalError:
        raise
    except Exception as error:
        raise database.explain(error) from error


async def _stored(connection: object, key: RunKey) -> StoredRun | None:
    fetch = connection.fetch  # type: ignore[attr-defined] # asyncpg has no types
    heads = await fetch(f"{statement('heads')} WHERE dag_id = $1 AND run_id = $2", *key)
    if not heads:
        return None  # deleted since
    rows = await fetch(statement("select_records"), *key, 0)
    try:
        head = head_of(heads[0])
        plans = await fetch(statement("select_plan"), key.dag_id, head.plan_version)
        records = tuple(decode_record(key, id, tuple(row)) for id, *row in rows)
        return StoredRun(key, head, decode_plan(plans[0][0]) if plans else None, records)
    except (JournalError, ValueError) as error:
        return StoredRun(key, damage=str(error))
