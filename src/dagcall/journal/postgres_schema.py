"""The schema of a PostgreSQL journal: numbered steps, forward and back, applied by one server at a time.

A step is `sql/postgres/schema/NNNN_name.sql`, and `NNNN_name.back.sql` undoes it. Which ones were applied is in
`schema_steps`. All of an upgrade is one transaction under an advisory lock: servers that start together wait for the
first, and find it done; one that dies in the middle leaves nothing.

**Old code on a new schema** works unless a step says `-- breaking` in its first line: steps only add, columns with
defaults and tables, so that during a rolling upgrade the version before goes on. **New code on an old schema** brings
it up to date when it opens. Going back is for an administrator (`downgrade`), and loses what the steps had added.
"""

from dataclasses import dataclass
from importlib.resources import files
from typing import Any, Final
from zlib import crc32

from dagcall.errors import JournalError

_SQL: Final = files("dagcall.journal") / "sql" / "postgres"
_UPGRADING: Final = 0x64616770
"""The class of the advisory lock of whoever changes a schema; the schema's name gives the other half."""


@dataclass(frozen=True)
class Step:
    """One change of the schema."""

    number: int
    name: str
    forward: str
    back: str

    @property
    def is_breaking(self) -> bool:
        return self.forward.startswith("-- breaking")


def statement(name: str) -> str:
    """The text of `sql/postgres/<name>.sql`."""
    return (_SQL / f"{name}.sql").read_text().strip()


def _steps() -> tuple[Step, ...]:
    found = {file.name: file.read_text() for file in (_SQL / "schema").iterdir() if file.is_file()}
    names = sorted(name.removesuffix(".sql") for name in found if not name.endswith(".back.sql"))
    return tuple(Step(int(name[:4]), name[5:], found[f"{name}.sql"], found[f"{name}.back.sql"]) for name in names)


STEPS: Final = _steps()


def lock_key(schema: str) -> int:
    """The half of an advisory lock that tells schemas of one database apart: 32 bits, signed."""
    return crc32(schema.encode()) - (1 << 31)


async def upgrade(connection: Any, name: str, schema: str, steps: tuple[Step, ...] = STEPS) -> None:
    """Make the schema, or bring it up to date. Raises `JournalError` when a newer dagcall made it unusable for this
    one; `name` is how messages call the journal."""
    async with connection.transaction():
        await _lock(connection, schema)
        if not await connection.fetchval("SELECT to_regnamespace($1) IS NOT NULL", schema):
            await connection.execute(f'CREATE SCHEMA "{schema}"')
        await connection.execute(statement("steps"))
        applied = await _applied(connection)
        _refuse_newer(applied, name, steps)
        for step in steps[len(applied) :]:
            await connection.execute(step.forward)
            await connection.execute(
                "INSERT INTO schema_steps (number, name, breaking) VALUES ($1, $2, $3)",
                step.number,
                step.name,
                step.is_breaking,
            )


async def check_current(connection: Any, name: str) -> None:
    """Raises `JournalError` where there is no journal, or one that has to be brought up to date first, or one that a newer
    dagcall made unusable for this one. Changes nothing."""
    if not await connection.fetchval("SELECT to_regclass('schema_steps') IS NOT NULL"):
        raise JournalError(f"there is no {name}")
    applied = await _applied(connection)
    _refuse_newer(applied, name, STEPS)
    if len(applied) < len(STEPS):
        raise JournalError(f"{name} is of an older dagcall: a server of this one brings it up to date")


def _refuse_newer(applied: dict[int, tuple[str, bool]], name: str, steps: tuple[Step, ...]) -> None:
    for number, (newer, is_breaking) in applied.items():
        if number > len(steps) and is_breaking:
            raise JournalError(
                f"{name} has schema step {number} ({newer}) of a newer dagcall, which this one cannot work with: "
                "use that dagcall, or another schema"
            )


async def downgrade(connection: Any, schema: str, to: int, steps: tuple[Step, ...] = STEPS) -> None:
    """Undo all steps above `to`. Raises `JournalError` for a step that this version does not know how to undo."""
    async with connection.transaction():
        await _lock(connection, schema)
        for number, (name, _) in sorted((await _applied(connection)).items(), reverse=True):
            if number <= to:
                break
            if number > len(steps):
                raise JournalError(f"schema step {number} ({name}) is unknown here: downgrade with the newer dagcall")
            await connection.execute(steps[number - 1].back)
            await connection.execute("DELETE FROM schema_steps WHERE number = $1", number)


async def _lock(connection: Any, schema: str) -> None:
    # A step may take longer than what a server grants its statements.
    await connection.execute("SET LOCAL statement_timeout = 0; SET LOCAL lock_timeout = '60s'")
    await connection.execute("SELECT pg_advisory_xact_lock($1::INTEGER, $2::INTEGER)", _UPGRADING, lock_key(schema))


async def _applied(connection: Any) -> dict[int, tuple[str, bool]]:
    rows = await connection.fetch("SELECT number, name, breaking FROM schema_steps ORDER BY number")
    return {number: (name, breaking) for number, name, breaking in rows}
