"""What is read from a journal's SQLite file, over any connection to it. Everything here blocks.

Each row is checked against its checksum before anything of it is handed out, and a run's records for gaps. Raises
`JournalCorrupt`, naming the run, where something does not fit, and `sqlite3.Error`.
"""

import logging
import sqlite3
from collections.abc import Iterator, Sequence
from typing import Any, Final

from dagcall.errors import JournalCorrupt
from dagcall.journal.base import HeadQuery
from dagcall.journal.checksums import checksum
from dagcall.journal.conditions import Conditions
from dagcall.journal.encoding import decode_plan, decode_record
from dagcall.journal.rows import DAG_IDS, add_query, head_of, order_by
from dagcall.journal.sqlite_file import statement
from dagcall.model.ids import RunKey
from dagcall.model.plan import DagPlan
from dagcall.model.records import JournalRecord, RunHead

log = logging.getLogger(__name__)

HEADS: Final = statement("heads")
ONE_HEAD: Final = f"{HEADS} WHERE dag_id = ? AND run_id = ?"
_SELECT_RECORDS: Final = statement("select_records")
_SELECT_PLAN: Final = statement("select_plan")

_ENTRY_ID: Final = 0xFFFFFFFF


def plan_of(connection: sqlite3.Connection, dag_id: str, version: str) -> DagPlan | None:
    found = connection.execute(_SELECT_PLAN, (dag_id, version)).fetchone()
    if found is None:
        return None
    plan, crc = found
    if checksum(dag_id, version, plan) != crc:
        raise JournalCorrupt(f"the plan of DAG {dag_id!r}, version {version}, is damaged: its checksum does not fit")
    return decode_plan(plan)


def head(connection: sqlite3.Connection, key: RunKey) -> RunHead | None:
    found = connection.execute(ONE_HEAD, key).fetchone()
    return None if found is None else checked_head(found)


def dag_ids(connection: sqlite3.Connection) -> set[str]:
    return {dag_id for (dag_id,) in connection.execute(DAG_IDS)}


def unfinished(connection: sqlite3.Connection) -> list[RunHead]:
    """Those that are damaged are told to the log and left out: they must not keep the others from going on."""
    found = []
    # The condition has the words of the index `runs_unfinished`, which serves it for that reason.
    for row in connection.execute(f"{HEADS} WHERE state IN ('queued', 'running') ORDER BY run"):
        try:
            found.append(checked_head(row))
        except JournalCorrupt as error:
            log.error("a run is lost: %s", error)
    return found


def checked_head(row: Sequence[Any]) -> RunHead:
    """The run of a row of `heads.sql`."""
    *columns, crc = row
    if checksum(*columns[1:-1]) != crc:
        dag_id, run_id = columns[1:3]
        raise JournalCorrupt(f"run {run_id} of DAG {dag_id} is damaged: the checksum of its head does not fit")
    return head_of(columns)  # type: ignore[arg-type] # as the statement selects them


def records(connection: sqlite3.Connection, key: RunKey, after: int = 0) -> list[JournalRecord]:
    after = max(after, 0)
    return [*_records(connection.execute(_SELECT_RECORDS, (after, *key)), key, after)]


def _records(rows: sqlite3.Cursor, key: RunKey, last: int) -> Iterator[JournalRecord]:
    for entry, *row, crc in rows:
        last += 1
        if entry & _ENTRY_ID != last:
            raise JournalCorrupt(f"run {key} is damaged: its record {last} is missing")
        if checksum(entry, *row) != crc:
            raise JournalCorrupt(f"run {key} is damaged: the checksum of its record {last} does not fit")
        yield decode_record(key, last, row)


def page(connection: sqlite3.Connection, query: HeadQuery) -> tuple[list[RunHead], int]:
    condition = add_query(Conditions(), query)
    order = order_by(query)
    # The page is chosen by row number first: sorting whole heads would carry every conf along.
    page = f"SELECT run FROM runs WHERE {condition.sql} ORDER BY {order} LIMIT ? OFFSET ?"
    connection.execute("BEGIN")  # one state for both answers
    try:
        (total,) = connection.execute(f"SELECT count(*) FROM runs WHERE {condition.sql}", condition.values).fetchone()
        rows = connection.execute(
            f"{HEADS} WHERE run IN ({page}) ORDER BY {order}", [*condition.values, query.limit, query.offset]
        ).fetchall()
    finally:
        connection.execute("COMMIT")
    return [*map(checked_head, rows)], total
