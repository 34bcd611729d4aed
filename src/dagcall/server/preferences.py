"""The `Prefer` header (RFC 7240), of which `wait` and `respond-async` are understood, and the wait it leads to.

What is malformed or unknown in a `Prefer` is ignored, as the RFC demands; `Preference-Applied` tells what was not.
"""

import re
from collections.abc import Iterable
from dataclasses import dataclass

_ITEM = re.compile(
    r'\s*([!#$%&\'*+.^_`|~0-9A-Za-z-]+)\s*(?:=\s*(?:"((?:[^"\\]|\\.)*)"|([^\s,;"]*)))?\s*(?:;[^,]*)?(?:,|$)'
)
_SECONDS = re.compile(r"[0-9]{1,9}(?:\.[0-9]{1,9})?", re.ASCII)


@dataclass(frozen=True)
class Preferences:
    """`wait`: seconds."""

    wait: float | None = None
    respond_async: bool = False


@dataclass(frozen=True)
class Wait:
    """How long this request waits, and what to say about it in `Preference-Applied`."""

    seconds: float
    at_once: bool
    """Answer 202 without looking for an outcome first."""
    applied: str


def parse_prefer(values: Iterable[str]) -> Preferences:
    """All `Prefer` headers of a request. Of one preference that comes twice the first counts."""
    found: dict[str, str] = {}
    for value in values:
        for item in _ITEM.finditer(value):
            found.setdefault(item[1].lower(), item[2] if item[2] is not None else item[3] or "")
    wait = found.get("wait", "")
    return Preferences(float(wait) if _SECONDS.fullmatch(wait) else None, "respond-async" in found)


def decide_wait(preferences: Preferences, asked: float | None, default: float, longest: float) -> Wait:
    """`asked`: what the query says, which goes before the header."""
    seconds = asked if asked is not None else preferences.wait
    if preferences.respond_async and seconds is None:
        return Wait(0.0, True, "respond-async")
    granted = min(default if seconds is None else seconds, longest)
    prefix = "respond-async, " if preferences.respond_async else ""
    return Wait(granted, False, f"{prefix}wait={granted:g}")
