from collections.abc import Iterable
from typing import Any

from dagcall.journal.base import pattern_terms
from dagcall.journal.times import TimeRange


class Conditions:
    """A condition of SQL, and its values (strings and numbers, as sqlite3 takes them). None sets no condition."""

    def __init__(self) -> None:
        self._parts: list[str] = []
        self.values: list[Any] = []

    @property
    def sql(self) -> str:
        return " AND ".join(self._parts) or "TRUE"

    def add(self, sql: str, *values: object) -> None:
        self._parts.append(sql)
        self.values.extend(values)

    def equal(self, column: str, value: str | int | None) -> None:
        if value is not None:
            self.add(f"{column} = ?", value)

    def one_of(self, column: str, allowed: Iterable[str] | Iterable[float] | None) -> None:
        if allowed is not None:
            names = sorted(allowed)
            self.add(f"{column} IN ({', '.join('?' * len(names))})", *names)

    def like(self, column: str, pattern: str | None) -> None:
        if pattern is not None:
            terms = pattern_terms(pattern)
            self.add(f"({' OR '.join([f'{column} LIKE ?'] * len(terms))})", *(f"%{term}%" for term in terms))

    def within(self, column: str, bounds: TimeRange) -> None:
        for operator, bound in ((">=", bounds.gte), (">", bounds.gt), ("<=", bounds.lte), ("<", bounds.lt)):
            if bound is not None:
                self.add(f"{column} {operator} ?", bound)
