"""Conditions of SQL and their values, in the dialects of both databases. Pure."""

from collections.abc import Iterable
from typing import Any

from dagcall.journal.base import pattern_terms, prefix_terms
from dagcall.journal.store import LAST
from dagcall.journal.times import TimeRange


class Conditions:
    """A condition in SQLite's words, and its values (strings and numbers). None sets no condition."""

    LIKE = "{column} LIKE {value}"

    def __init__(self) -> None:
        self._parts: list[str] = []
        self.values: list[Any] = []

    @property
    def sql(self) -> str:
        return " AND ".join(self._parts) or "TRUE"

    def value(self, value: object) -> str:
        """How the text names this value; called in the order of the text."""
        self.values.append(value)
        return "?"

    def add(self, sql: str) -> None:
        self._parts.append(sql)

    def is_one_of(self, column: str, allowed: Iterable[str] | Iterable[float]) -> str:
        """The text of a condition that is not added."""
        names = sorted(allowed)
        return f"{column} IN ({', '.join(map(self.value, names))})" if names else "FALSE"

    def equal(self, column: str, value: str | int | None) -> None:
        if value is not None:
            self.add(f"{column} = {self.value(value)}")

    def one_of(self, column: str, allowed: Iterable[str] | Iterable[float] | None) -> None:
        if allowed is not None:
            self.add(self.is_one_of(column, allowed))

    def like(self, column: str, pattern: str | None) -> None:
        if pattern is not None:
            terms = [self.LIKE.format(column=column, value=self.value(f"%{term}%")) for term in pattern_terms(pattern)]
            self.add(f"({' OR '.join(terms)})")

    def begins(self, column: str, pattern: str | None) -> None:
        if pattern is not None:
            terms = [
                f"({column} >= {self.value(term)} AND {column} < {self.value(term + LAST)})"
                for term in prefix_terms(pattern)
            ]
            self.add(f"({' OR '.join(terms)})")

    def within(self, column: str, bounds: TimeRange) -> None:
        for operator, bound in ((">=", bounds.gte), (">", bounds.gt), ("<=", bounds.lte), ("<", bounds.lt)):
            if bound is not None:
                self.add(f"{column} {operator} {self.value(bound)}")


class NumberedConditions(Conditions):
    """In PostgreSQL's words. Under the collation "C", ILIKE takes ASCII letters for equal and no others."""

    LIKE = "{column} ILIKE {value} ESCAPE ''"

    def value(self, value: object) -> str:
        self.values.append(value)
        return f"${len(self.values)}"
