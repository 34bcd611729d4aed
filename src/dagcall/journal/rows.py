"""Rows of `runs` and the values they stand for, alike in both databases: heads, and `HeadQuery` as SQL.

Pure. What lists of other rows have in common with those of runs is here too.
"""

from collections.abc import Iterable
from typing import Final, TypeVar

from dagcall.journal.base import HeadQuery, OrderColumn
from dagcall.journal.conditions import Conditions
from dagcall.model.ids import RunKey
from dagcall.model.records import RunHead
from dagcall.model.states import RunState

HeadRow = tuple[
    int, str, str, str, str, float, float, float | None, float | None, float | None, str, str, str, bytes, str | None,
    str | None, str, int,
]  # fmt: skip
"""The columns of the databases' `heads.sql`."""

SomeConditions = TypeVar("SomeConditions", bound=Conditions)

_EXPRESSIONS: Final[dict[OrderColumn, str]] = {"id": "run", "duration": "end_date - start_date"}
"""The order columns that are not simply columns of `runs`."""


DAG_IDS: Final = """
WITH RECURSIVE known(dag_id) AS (
    SELECT min(dag_id) FROM runs
    UNION ALL
    SELECT (SELECT min(dag_id) FROM runs WHERE runs.dag_id > known.dag_id) FROM known WHERE known.dag_id IS NOT NULL
)
SELECT dag_id FROM known WHERE dag_id IS NOT NULL
"""
"""One look into an index for each DAG; `DISTINCT` would look at every run."""


def head_of(row: HeadRow) -> RunHead:
    (
        _, dag_id, run_id, state, plan_version, queued_at, run_after, logical_date, start_date, end_date, run_type,
        triggered_by, caller, conf, note, idempotency_key, outcome, last_record,
    ) = row  # fmt: skip
    return RunHead(
        key=RunKey(dag_id, run_id),
        state=RunState(state),
        plan_version=plan_version,
        queued_at=queued_at,
        run_after=run_after,
        logical_date=logical_date,
        start_date=start_date,
        end_date=end_date,
        run_type=run_type,
        triggered_by=triggered_by,
        caller=caller,
        conf=conf,
        note=note,
        idempotency_key=idempotency_key,
        outcome=outcome,
        last_record=last_record,
    )


def add_query(conditions: SomeConditions, query: HeadQuery) -> SomeConditions:
    conditions.one_of("dag_id", query.dag_ids)
    conditions.one_of("state", query.states)
    conditions.one_of("run_type", query.run_types)
    conditions.one_of("run_id", query.run_ids)
    conditions.one_of("logical_date", query.logical_dates)
    conditions.equal("run_id", query.run_id)
    conditions.equal("idempotency_key", query.idempotency_key)
    conditions.equal("caller", query.caller)
    conditions.like("dag_id", query.dag_id_pattern)
    conditions.like("run_id", query.run_id_pattern)
    conditions.within("logical_date", query.logical_date)
    conditions.within("run_after", query.run_after)
    conditions.within("start_date", query.start_date)
    conditions.within("end_date", query.end_date)
    conditions.within(f"({_EXPRESSIONS['duration']})", query.duration)
    conditions.one_of("plan_version", query.plan_versions)
    conditions.begins("dag_id", query.dag_id_prefix)
    conditions.begins("run_id", query.run_id_prefix)
    if query.caller_pattern is not None or query.caller_prefix is not None:
        conditions.add("caller <> ''")
        conditions.like("caller", query.caller_pattern)
        conditions.begins("caller", query.caller_prefix)
    return conditions


def order_by(query: HeadQuery) -> str:
    """SQL for `query.ordering`."""
    return ordered((_EXPRESSIONS.get(column, column), descending) for column, descending in query.ordering)


def ordered(terms: Iterable[tuple[str, bool]]) -> str:
    """SQL for (expression, descending): a missing value is less than any other, which is SQLite's default only."""
    return ", ".join(f"{name} {'DESC NULLS LAST' if descending else 'ASC NULLS FIRST'}" for name, descending in terms)


def with_total(table: str, condition: str, page: str, order: str) -> str:
    """SQL for a page and how many match in all, as of one moment: rows of (total, row), one of (total, NULLs) if the
    page is empty."""
    total = f"SELECT count(*) AS total FROM {table} WHERE {condition}"
    return f"SELECT total, page.* FROM ({total}) AS total LEFT JOIN ({page}) AS page ON TRUE ORDER BY {order}"
