"""Airflow's query parameters: paging, ordering, filters, with FastAPI's errors."""

import math
import re
from collections.abc import Callable, Collection, Iterable, Mapping
from typing import Any, TypeVar

from starlette.requests import Request

from dagcall.errors import NotSupported
from dagcall.journal.base import TimeRange, pattern_terms, prefix_terms
from dagcall.server.problems import AirflowError
from dagcall.server.times import parse_time

T = TypeVar("T")

PAGING = ("limit", "offset", "order_by")
RANGES = ("_gte", "_gt", "_lte", "_lt")
MAX_SORT = 10
"""Airflow's `SortParam.MAX_SORT_PARAMS`."""


def patterns(*names: str) -> tuple[str, ...]:
    """The query parameters of `AirflowQuery.text_matcher`."""
    return tuple(name + ending for name in names for ending in ("_pattern", "_prefix_pattern"))


def ranges(*names: str) -> tuple[str, ...]:
    """The query parameters of range filters."""
    return tuple(name + bound for name in names for bound in RANGES)


_INTEGER = re.compile(r"[+-]?[0-9]{1,15}", re.ASCII)


def invalid(place: str, name: str, kind: str, message: str, value: object) -> AirflowError:
    """422 as FastAPI puts it."""
    return AirflowError(422, [{"type": kind, "loc": [place, name], "msg": message, "input": value}])


def parsed_integer(place: str, name: str, text: str, least: int | None) -> int:
    if _INTEGER.fullmatch(text.strip()) is None:
        message = "Input should be a valid integer, unable to parse string as an integer"
        raise invalid(place, name, "int_parsing", message, text)
    if least is not None and int(text) < least:
        message = f"Input should be greater than or equal to {least}"
        raise invalid(place, name, "greater_than_equal", message, text)
    return int(text)


def path_integer(request: Request, name: str, least: int | None = None) -> int:
    """A number that is part of the path. Raises AirflowError."""
    return parsed_integer("path", name, request.path_params[name], least)


class AirflowQuery:
    def __init__(self, request: Request, known: Collection[str], settings: Mapping[str, Any]) -> None:
        """Raises `NotSupported` for a parameter that is not in `known`."""
        self._values: dict[str, list[str]] = {}
        self._settings = settings
        for name, value in request.query_params.multi_items():
            if name not in known:
                raise NotSupported(
                    f"dagcall does not support the query parameter {name!r} here; "
                    f"it knows: {', '.join(sorted(known)) or 'none'}."
                )
            self._values.setdefault(name, []).append(value)

    def one(self, name: str) -> str | None:
        return self._values[name][-1] if name in self._values else None

    def many(self, name: str) -> list[str]:
        return self._values.get(name, [])

    def integer(self, name: str, default: int, least: int = 0) -> int:
        text = self.one(name)
        if text is None:
            return default
        return parsed_integer("query", name, text, least)

    def optional_integer(self, name: str, least: int = 0) -> int | None:
        return self.integer(name, 0, least) if name in self._values else None

    def integers(self, name: str, least: int = 0) -> set[int]:
        return {parsed_integer("query", name, text, least) for text in self.many(name)}

    def boolean(self, name: str) -> bool | None:
        text = self.one(name)
        if text is None:
            return None
        if text.lower() in ("true", "1", "on", "t", "y", "yes"):
            return True
        if text.lower() in ("false", "0", "off", "f", "n", "no"):
            return False
        message = "Input should be a valid boolean, unable to interpret input"
        raise invalid("query", name, "bool_parsing", message, text)

    def time(self, name: str) -> float | None:
        text = self.one(name)
        if text is None:
            return None
        try:
            return parse_time(text)
        except (ValueError, OverflowError):
            raise invalid(
                "query", name, "datetime_from_date_parsing", "Input should be a valid datetime or date", text
            ) from None

    def time_range(self, name: str) -> TimeRange:
        gte, gt, lte, lt = (self.time(name + bound) for bound in RANGES)
        return TimeRange(gte, gt, lte, lt)

    def number(self, name: str) -> float | None:
        text = self.one(name)
        if text is None:
            return None
        try:
            value = float(text)
        except ValueError:
            value = math.nan
        if not math.isfinite(value):
            message = "Input should be a valid number, unable to parse string as a number"
            raise invalid("query", name, "float_parsing", message, text)
        return value

    def number_range(self, name: str) -> TimeRange:
        gte, gt, lte, lt = (self.number(name + bound) for bound in RANGES)
        return TimeRange(gte, gt, lte, lt)

    @property
    def limit(self) -> int:
        """At most `[api] maximum_page_limit`, by default `fallback_page_limit`, as in Airflow."""
        asked = self.integer("limit", self._settings.get("fallback_page_limit", 50))
        return min(asked, int(self._settings.get("maximum_page_limit", 100)))

    @property
    def offset(self) -> int:
        return self.integer("offset", 0)

    def order_by(self, allowed: Collection[str], default: Iterable[str]) -> list[str]:
        """Names of `allowed`, `-` in front for descending."""
        names = self.many("order_by") or list(default)
        if len(names) > MAX_SORT:
            raise AirflowError(400, f"Ordering with more than {MAX_SORT} parameters is not allowed. Provided: {names}")
        for name in names:
            if name.removeprefix("-") not in allowed:
                raise AirflowError(
                    400,
                    f"Ordering with '{name.lstrip('-')}' is disallowed or the attribute does not exist on the model",
                )
        return names

    def states(self, name: str, states: Collection[str], what: str = "state") -> list[str] | None:
        """None when there is no such filter."""
        values = self.many(name)
        for value in values:
            if value not in states:
                valid = ", ".join(one for one in states if one not in ("none", "no_status"))
                raise AirflowError(422, f"Invalid value for {what}. Valid values are {valid}")
        return values or None

    def matcher(self, name: str) -> Callable[[str], bool]:
        """Airflow's patterns: `%` any text, `_` any character, `a|b` either, upper and lower case alike."""
        pattern = self.pattern(name)
        if pattern is None:
            return lambda text: True
        compiled = [
            re.compile(re.escape(term).replace("%", ".*").replace("_", "."), re.IGNORECASE | re.DOTALL)
            for term in pattern_terms(pattern)
        ]
        return lambda text: any(one.search(text) for one in compiled)

    def prefix_matcher(self, name: str) -> Callable[[str], bool]:
        """Airflow's prefixes: `a|b` either, as they are written but for what is no letter or digit at their end."""
        pattern = self.pattern(name)
        if pattern is None:
            return lambda text: True
        begins = prefix_terms(pattern)
        return lambda text: text.startswith(begins)

    def pattern(self, name: str) -> str | None:
        """None, where there is no such filter or it is Airflow's `~`: any."""
        pattern = self.one(name)
        return None if pattern == "~" else pattern

    def text_matcher(self, name: str) -> Callable[[str | None], bool]:
        """`{name}_pattern` and `{name}_prefix_pattern` together. What has no such text is found without them only."""
        names = (f"{name}_pattern", f"{name}_prefix_pattern")
        if not any(self.pattern(one) is not None for one in names):
            return lambda text: True
        matches, begins = self.matcher(names[0]), self.prefix_matcher(names[1])
        return lambda text: text is not None and matches(text) and begins(text)

    def page(
        self, items: Iterable[T], keys: Mapping[str, Callable[[T], Any]], default: Iterable[str]
    ) -> tuple[list[T], int]:
        """One page of `items`, ordered by `keys` (missing values first, as on SQLite), and how many there are."""
        ordered = list(items)
        for name in reversed(self.order_by(keys.keys(), default)):
            key = keys[name.removeprefix("-")]
            ordered.sort(key=lambda item: _sortable(key(item)), reverse=name.startswith("-"))
        offset = self.offset
        return ordered[offset : offset + self.limit], len(ordered)


def _sortable(value: Any) -> tuple[bool, Any]:
    return (value is not None, value)
