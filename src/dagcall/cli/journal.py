"""`dagcall journal`: look at, pack and copy the journal of a server on this machine.

Works on the file, not over HTTP, so that it can be used while no server runs, or none starts.
"""

from argparse import ArgumentParser, Namespace
from pathlib import Path

from dagcall.cli.arguments import Commands, add_output
from dagcall.cli.exits import Exit
from dagcall.cli.serve import missing_extra
from dagcall.cli.terminal import Terminal
from dagcall.errors import UsageError


def register(commands: Commands) -> None:
    parser = commands.add(
        "journal",
        "check, pack or back up the journal of a server on this machine",
        ("dagcall journal check", "dagcall journal backup /backups/journal-monday.db"),
    )
    actions = Commands(parser)

    check = actions.add(
        "check",
        "look for damage: the file's structure, every row's checksum, every run replayed; exit 1 if there is any; may be "
        "used while a server serves",
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
    path = _file_of(args.journal)
    from dagcall.coordinator.journal_check import contradiction
    from dagcall.journal import sqlite_care

    whole = sqlite_care.damage_of(path)
    found = [] if whole is None else [{"what": "journal", "found": whole}]
    count = 0
    if not found:
        with sqlite_care.reading(path) as connection:
            for run in sqlite_care.runs(connection):
                count += 1
                damage = run.damage or (contradiction(run.plan, run.head, run.records) if run.head else None)
                if damage is not None:
                    found.append({"what": f"run {run.key}", "found": damage})
    if found:
        terminal.rows(found, ("what", "found"), args.output)
        return Exit.RUN_FAILED
    terminal.value({"journal": str(path), "runs": count, "damaged": 0}, args.output)
    return Exit.OK


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
    try:
        from dagcall.compose import default_journal
        from dagcall.journal.open import open_journal
        from dagcall.journal.sqlite import SqliteJournal
    except ModuleNotFoundError as missing:
        raise missing_extra("dagcall journal", missing) from missing

    journal = open_journal(url or default_journal())
    if not isinstance(journal, SqliteJournal):
        raise UsageError(
            "this command is for journals in SQLite files; PostgreSQL has pg_dump, VACUUM and checksums of its own"
        )
    return journal.path
