"""`dagcall journal`: look at, pack and copy the journal of a server.

Works on the file or the database, not over HTTP, so that it can be used while no server runs, or none starts. Journals in
PostgreSQL are looked at only: packing and copying are the database's own.
"""

import asyncio
from argparse import ArgumentParser, Namespace
from pathlib import Path
from typing import TYPE_CHECKING

from dagcall.cli.arguments import Commands, add_output
from dagcall.cli.exits import Exit
from dagcall.cli.serve import missing_extra
from dagcall.cli.terminal import Terminal
from dagcall.errors import UsageError

if TYPE_CHECKING:
    from dagcall.journal.base import Journal
    from dagcall.journal.stored_run import StoredRun

Found = list[dict[str, object]]


def register(commands: Commands) -> None:
    parser = commands.add(
        "journal",
        "check the journal of a server; pack it or back it up, where it is a file on this machine",
        (
            "dagcall journal check",
            "dagcall journal check --journal postgresql://dagcall@db/dagcall",
            "dagcall journal backup /backups/journal-monday.db",
        ),
    )
    actions = Commands(parser)

    check = actions.add(
        "check",
        "look for damage: every run is replayed; of a file also its structure and every row's checksum; exit 1 if there is "
        "any; may be used while a server serves",
    )
    _add_journal(check)
    add_output(check, "table")
    check.set_defaults(run=check_journal)

    vacuum = actions.add(
        "vacuum", "drop plans that no run needs, give back the space of runs that were forgotten; no server may run"
    )
    _add_journal(vacuum)
    add_output(vacuum, "table")
    vacuum.set_defaults(run=vacuum_journal)

    backup = actions.add(
        "backup",
        "copy the journal as of one moment to a new file; may be used while a server serves",
        ("dagcall journal backup journal-monday.db --journal sqlite:////var/lib/dagcall/journal.db",),
    )
    backup.add_argument("file", metavar="FILE", type=Path, help="must not exist; serve it with --journal sqlite:///...")
    _add_journal(backup)
    add_output(backup, "table")
    backup.set_defaults(run=back_up_journal)


def _add_journal(parser: ArgumentParser) -> None:
    parser.add_argument("--journal", metavar="URL", help="as for serve (default: $AIRFLOW_HOME/dagcall/journal.db)")


def check_journal(args: Namespace, terminal: Terminal) -> int:
    _open(args.journal)  # raises what is wrong with the URL, or missing
    from dagcall.journal.open import is_postgres

    if is_postgres(args.journal or ""):
        name, found, count = asyncio.run(_check_database(args.journal))
    else:
        path = _file_of(args.journal)
        name, (found, count) = str(path), _check_file(path)
    if found:
        terminal.rows(found, ("what", "found"), args.output)
        return Exit.RUN_FAILED
    terminal.value({"journal": name, "runs": count, "damaged": 0}, args.output)
    return Exit.OK


def _check_file(path: Path) -> tuple[Found, int]:
    """What was found, and how many runs were looked at."""
    from dagcall.journal import sqlite_care

    whole = sqlite_care.damage_of(path)
    if whole is not None:
        return [{"what": "journal", "found": whole}], 0
    with sqlite_care.reading(path) as connection:
        looked_at = [_damage(run) for run in sqlite_care.runs(connection)]
    return [one for one in looked_at if one is not None], len(looked_at)


async def _check_database(url: str) -> tuple[str, Found, int]:
    """How the journal is called, what was found, and how many runs were looked at."""
    from dagcall.journal import postgres_care
    from dagcall.journal.postgres_database import Database

    database = Database(url)
    looked_at = [_damage(run) async for run in postgres_care.runs(database)]
    return database.name.removeprefix("journal "), [one for one in looked_at if one is not None], len(looked_at)


def _damage(run: "StoredRun") -> dict[str, object] | None:
    from dagcall.coordinator.journal_check import contradiction

    damage = run.damage or (contradiction(run.plan, run.head, run.records) if run.head else None)
    return None if damage is None else {"what": f"run {run.key}", "found": damage}


def vacuum_journal(args: Namespace, terminal: Terminal) -> int:
    path = _file_of(args.journal)
    from dagcall.journal.sqlite_care import vacuum

    before, after = vacuum(path)
    terminal.value({"journal": str(path), "bytes_before": before, "bytes_after": after}, args.output)
    return Exit.OK


def back_up_journal(args: Namespace, terminal: Terminal) -> int:
    path = _file_of(args.journal)
    from dagcall.journal.sqlite_care import back_up

    size = back_up(path, args.file.absolute())
    terminal.value({"backup": str(args.file.absolute()), "bytes": size}, args.output)
    return Exit.OK


def _file_of(url: str | None) -> Path:
    """The file that a `--journal` URL names. Raises `UsageError` for the others, `MissingExtra`."""
    journal = _open(url)
    from dagcall.journal.sqlite import SqliteJournal

    if not isinstance(journal, SqliteJournal):
        raise UsageError("this command is for journals in SQLite files; PostgreSQL has pg_dump and VACUUM of its own")
    return journal.path


def _open(url: str | None) -> "Journal":
    """The journal that a `--journal` URL names, not opened. Raises `JournalUrlError`, `MissingExtra`."""
    try:
        from dagcall.compose import default_journal
        from dagcall.journal.open import open_journal
    except ModuleNotFoundError as missing:
        raise missing_extra("dagcall journal", missing) from missing
    return open_journal(url or default_journal())
