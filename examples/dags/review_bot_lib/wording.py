"""Says in plain text what a digest has in numbers."""

from __future__ import annotations

import textwrap
from collections.abc import Mapping, Sequence

from review_bot_lib.digest import Digest, Point, Source

LINE = 200  # characters of a note that are shown; the result has the whole of it
SHOWN_PACKAGES = 4


def summary(topic: str, digest: Digest) -> str:
    """A sentence with the counts, then a line for each point: its kind, its words, its sources."""
    total = sum(digest["packages"].values())
    packages = _counts(dict(list(digest["packages"].items())[:SHOWN_PACKAGES]))
    more = len(digest["packages"]) - SHOWN_PACKAGES
    where = f"{packages} and {more} more" if more > 0 else packages
    when = f", {' to '.join(dict.fromkeys(digest['dates']))}" if digest["dates"] else ""
    notes = "1 release note" if total == 1 else f"{total} release notes"
    head = f"{topic}: {notes} ({where}{when}). {_counts(digest['kinds']).capitalize()}."
    return "\n".join([head, *map(_line, digest["points"])])


def regret(topic: str, searched: Sequence[str], since: str | None, suggestions: Sequence[str]) -> str:
    """A sentence for a topic that no note is about, with topics that some are about, if there are any."""
    when = f" since {since}" if since else ""
    where = searched[0] if len(searched) == 1 else f"{len(searched)} installed packages"
    instead = " or ".join(f'"{suggestion}"' for suggestion in suggestions)
    sentence = f'Sorry, the release notes of {where} say nothing on "{topic}"{when}.'
    return f"{sentence} Try {instead}." if instead else sentence


def _counts(numbers: Mapping[str, int]) -> str:
    return ", ".join(f"{name} {number}" for name, number in numbers.items())


def _line(point: Point) -> str:
    first, *others = [_cited(source) for source in point["sources"]]
    again = f"; also {', '.join(others)}" if others else ""
    return f'- {point["kind"]}: "{textwrap.shorten(point["text"], LINE, placeholder=" ...")}" ({first}{again})'


def _cited(source: Source) -> str:
    told = (f"{source['package']} {source['version']}", source["date"], source["reference"])
    return ", ".join(part for part in told if part)
