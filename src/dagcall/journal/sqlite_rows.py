"""Rows of SQLite and the values they stand for: heads, and `HeadQuery` as SQL. Pure."""

from collections.abc import Iterable
from typing import Any, Final

from dagcall.journal.base import HeadQuery, OrderColumn, TimeRange, pattern_terms
from dagcall.model.ids import RunKey
from dagcall.model.records import RunHead
from dagcall.model.states import RunState

HeadRow = tuple[
    int, str, str, str, str, float, float, float | None, float | None, float | None, str, str, str, bytes, str | None,
    str | None, str, int,
]  # fmt: skip
"""The columns of `sql/sqlite/heads.sql`."""

_EXPRESSIONS: Final[dict[OrderColumn, str]] = {"id": "run", "duration": "end_date - start_date"}
"""The order columns that are not simply columns of `runs`."""


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


def where(query: HeadQuery) -> tuple[str, list[Any]]:
    """The condition of a query and its values (strings and numbers, as sqlite3 takes them)."""
    conditions: list[str] = []
    values: list[Any] = []

    def condition(sql: str, *parameters: object) -> None:
        conditions.append(sql)
        values.extend(parameters)

    def one_of(column: str, allowed: Iterable[str] | None) -> None:
        if allowed is not None:
            names = sorted(allowed)
            condition(f"{column} IN ({', '.join('?' * len(names))})", *names)

    def like(column: str, pattern: str | None) -> None:
        if pattern is not None:
            terms = pattern_terms(pattern)
            condition(f"({' OR '.join([f'{column} LIKE ?'] * len(terms))})", *(f"%{term}%" for term in terms))

    def within(column: str, bounds: TimeRange) -> None:
        for operator, bound in ((">=", bounds.gte), (">", bounds.gt), ("<=", bounds.lte), ("<", bounds.lt)):
            if bound is not None:
                condition(f"{column} {operator} ?", bound)

    one_of("dag_id", query.dag_ids)
    one_of("state", query.states)
    one_of("run_type", query.run_types)
    if query.run_id is not None:
        condition("run_id = ?", query.run_id)
    if query.idempotency_key is not None:
        condition("idempotency_key = ?", query.idempotency_key)
    like("dag_id", query.dag_id_pattern)
    like("run_id", query.run_id_pattern)
    within("logical_date", query.logical_date)
    within("run_after", query.run_after)
    within("start_date", query.start_date)
    within("end_date", query.end_date)
    return " AND ".join(conditions) or "TRUE", values


def order_by(query: HeadQuery) -> str:
    """SQL for `query.ordering`; SQLite's own place for a missing value is the promised one."""
    return ", ".join(
        f"{_EXPRESSIONS.get(column, column)} {'DESC' if descending else 'ASC'}" for column, descending in query.ordering
    )
