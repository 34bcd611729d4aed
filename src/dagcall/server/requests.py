"""Reading requests: bodies within their limits, JSON, query parameters that nobody may misspell."""

import math
from collections.abc import Collection
from typing import Any

import msgspec
from starlette.requests import ClientDisconnect, Request

from dagcall.errors import BadRequest, MalformedJson, NotAnObject, TooLarge
from dagcall.server.times import parse_aware_time

MAX_DEPTH = 100
"""Of nested arrays and objects in a body. Every process that a value passes has its own recursion limit (Python's
default is 1000 frames): what is accepted here must not break a worker."""

MOST_ITEMS = 250_000
"""Of all arrays and objects in a body together. Checking them against a DAG's schema takes some 15 us each, for which
other calls with many values wait (`coordinator.params`)."""

LONGEST_TIMEOUT = 366 * 86400.0
"""Seconds. Timers of event loops overflow somewhere above; nobody waits that long for an answer."""

_decode = msgspec.json.Decoder().decode


async def read_body(request: Request, limit: int) -> bytes:
    """The whole body. Raises `TooLarge` as soon as it is known to be over `limit` bytes.

    The connection is then left open, and the HTTP server drops what still comes: closing it would reset it under a
    client that is still sending, which would never see the answer.
    """
    declared = request.headers.get("content-length", "0")
    if declared.isdecimal() and int(declared[:20]) > limit:
        raise _too_large(limit)
    chunks: list[bytes] = []
    size = 0
    while True:
        message = await request.receive()
        if message["type"] != "http.request":
            raise ClientDisconnect()
        chunk = message.get("body", b"")
        size += len(chunk)
        if size > limit:
            raise _too_large(limit)
        chunks.append(chunk)
        if not message.get("more_body", False):
            return b"".join(chunks) if len(chunks) > 1 else chunk


def decode_json(body: bytes) -> Any:
    """Raises `MalformedJson`, also for what is nested too deeply; `TooLarge` for too many values."""
    try:
        value = _decode(body)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        why = "it is nested too deeply" if isinstance(error, RecursionError) else str(error)
        raise MalformedJson(f"The body is not valid JSON: {why}.") from None
    if body.count(b"[") + body.count(b"{") > MAX_DEPTH and is_deeper(value, MAX_DEPTH):
        raise MalformedJson(f"The body is nested more than {MAX_DEPTH} levels deep.")
    if body.count(b",") > MOST_ITEMS and _size(value) > MOST_ITEMS:
        raise TooLarge(f"The body holds more than {MOST_ITEMS} values; pass large data by reference.")
    return value


def decode_object(body: bytes) -> dict[str, Any]:
    """The params of a call: a JSON object, or nothing at all. Raises `MalformedJson`, `NotAnObject`."""
    if not body or body == b"{}" or body.isspace():
        return {}
    value = decode_json(body)
    if not isinstance(value, dict):
        raise NotAnObject()
    return value


def is_deeper(value: object, depth: int) -> bool:
    """Whether lists and dicts are nested more than `depth` levels, without recursion."""
    level = [value]
    for _ in range(depth):
        level = [
            item
            for one in level
            if isinstance(one, dict | list)
            for item in (one.values() if isinstance(one, dict) else one)
            if isinstance(item, dict | list)
        ]
        if not level:
            return False
    return True


def _size(value: object) -> int:
    """How many items and members there are, at all levels."""
    size, pending = 0, [value]
    while pending:
        one = pending.pop()
        if isinstance(one, dict | list):
            size += len(one)
            pending += (
                item for item in (one.values() if isinstance(one, dict) else one) if isinstance(item, dict | list)
            )
    return size


class Query:
    """The query of a request on `/call`. A name that is not known is refused: a misspelt `wait` that is silently
    ignored costs its caller more than an error."""

    def __init__(self, request: Request, known: Collection[str]) -> None:
        """Raises `BadRequest`."""
        self._values: dict[str, list[str]] = {}
        if not request.scope["query_string"]:
            return
        for name, value in request.query_params.multi_items():
            if name not in known:
                raise BadRequest(f"Unknown query parameter {name!r}; known here: {', '.join(sorted(known)) or 'none'}.")
            self._values.setdefault(name, []).append(value)

    def one(self, name: str) -> str | None:
        values = self._values.get(name)
        if values is None:
            return None
        if len(values) > 1:
            raise BadRequest(f"Query parameter {name!r} is given {len(values)} times.")
        return values[0]

    def many(self, name: str) -> tuple[str, ...]:
        return tuple(dict.fromkeys(self._values.get(name, ())))

    def number(self, name: str) -> int | None:
        """0, 1, 2, ..."""
        text = self.one(name)
        if text is None:
            return None
        if not (text.isascii() and text.isdecimal() and len(text) < 10):
            raise BadRequest(f"Query parameter {name!r} must be a whole number, not {text!r}.")
        return int(text)

    def seconds(self, name: str, *, positive: bool = False) -> float | None:
        text = self.one(name)
        if text is None:
            return None
        try:
            value = float(text)
        except ValueError:
            value = math.nan
        if not (0 <= value < math.inf) or (positive and value == 0):
            raise BadRequest(
                f"Query parameter {name!r} must be a number of seconds{' above 0' * positive}, not {text!r}."
            )
        if value > LONGEST_TIMEOUT:
            raise BadRequest(f"Query parameter {name!r} must be at most {LONGEST_TIMEOUT:g} seconds, not {text!r}.")
        return value

    def time(self, name: str) -> float | None:
        """Seconds since the epoch, of an ISO 8601 time with an offset."""
        text = self.one(name)
        if text is None:
            return None
        try:
            return parse_aware_time(text.replace(" ", "+"))  # `+` of a query that was not encoded
        except (ValueError, OverflowError):
            raise BadRequest(
                f"Query parameter {name!r} must be an ISO 8601 time with an offset, such as 2026-01-31T00:00:00Z, "
                f"not {text!r}."
            ) from None


def _too_large(limit: int) -> TooLarge:
    return TooLarge(f"The body is over the limit of {limit} bytes; pass large data by reference.")
