"""Chooses what to quote of many notes, and counts the rest.

How strong a point is: how like it is to what all notes on the topic have in common, their centroid (Radev et al.,
"Centroid-based summarization of multiple documents", 2004). What is quoted: the strongest point, then again and again
the one that is strong and yet unlike those already chosen, by maximal marginal relevance (Carbonell and Goldstein,
SIGIR 1998). All values are plain dictionaries, because they travel between tasks as XComs.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from typing import TypedDict

from review_bot_lib.index import Index, centroid, cosine
from review_bot_lib.kinds import KINDS
from review_bot_lib.release_notes import Note

SAME = 0.8  # cosine from which on two notes of a kind tell the same: a fix is often told again for the final release
NOVELTY = 0.4  # of a point's worth, what being unlike the chosen ones counts; the rest is its strength


class Source(TypedDict):
    """Where a note stands."""

    package: str
    version: str
    date: str | None
    reference: str | None
    link: str | None


class Point(TypedDict):
    """What one note tells, or several that tell the same, in the words of the first."""

    text: str
    kind: str
    strength: float
    sources: list[Source]


class Digest(TypedDict):
    """The notes on a topic in few: counts over all of them, and the strongest points."""

    packages: dict[str, int]
    kinds: dict[str, int]
    dates: list[str]
    """The first and the last day of the releases; empty if no release has a date."""
    points: list[Point]


def by_package(notes: Iterable[Note]) -> list[list[Note]]:
    """One list for each package, the longest first."""
    groups: dict[str, list[Note]] = {}
    for note in notes:
        groups.setdefault(note["package"], []).append(note)
    return sorted(groups.values(), key=len, reverse=True)


def digest(index: Index, notes: Sequence[Note], limit: int) -> Digest:
    """Of some notes, usually those of one package."""
    dates = [note["date"] for note in notes if note["date"]]
    points = [Point(text=note["text"], kind=note["kind"], strength=0.0, sources=[_source(note)]) for note in notes]
    return Digest(
        packages=dict(Counter(note["package"] for note in notes)),
        kinds=_ordered(Counter(note["kind"] for note in notes)),
        dates=[min(dates), max(dates)] if dates else [],
        points=_chosen(index, points, limit),
    )


def aggregate(index: Index, digests: Sequence[Digest], limit: int) -> Digest:
    """One digest out of several."""
    packages: Counter[str] = Counter()
    kinds: Counter[str] = Counter()
    for each in digests:
        packages.update(each["packages"])
        kinds.update(each["kinds"])
    dates = [date for each in digests for date in each["dates"]]
    return Digest(
        packages=dict(packages.most_common()),
        kinds=_ordered(kinds),
        dates=[min(dates), max(dates)] if dates else [],
        points=_chosen(index, [point for each in digests for point in each["points"]], limit),
    )


def _chosen(index: Index, points: Sequence[Point], limit: int) -> list[Point]:
    vectors = [index.vector(point["text"]) for point in points]
    common = centroid(vectors)
    strengths = [round(cosine(vector, common), 3) for vector in vectors]
    left = list(range(len(points)))
    likeness = dict.fromkeys(left, 0.0)  # of each point that is left, to the chosen one that it is most like
    chosen: list[Point] = []
    while left and len(chosen) < limit:
        best = max(left, key=lambda place: (1 - NOVELTY) * strengths[place] - NOVELTY * likeness[place])
        alike = {place: cosine(vectors[place], vectors[best]) for place in left}
        kind = points[best]["kind"]
        same = [place for place in left if place == best or (alike[place] >= SAME and points[place]["kind"] == kind)]
        sources = [source for place in same for source in points[place]["sources"]]
        chosen.append({**points[best], "strength": strengths[best], "sources": sources})
        left = [place for place in left if place not in same]
        for place in left:
            likeness[place] = max(likeness[place], alike[place])
    return chosen


def _source(note: Note) -> Source:
    return Source(
        package=note["package"],
        version=note["version"],
        date=note["date"],
        reference=note["reference"],
        link=note["link"],
    )


def _ordered(kinds: Mapping[str, int]) -> dict[str, int]:
    return {kind: kinds[kind] for kind in KINDS if kind in kinds}
