"""Finds the release notes on a topic, and tells how alike two notes are.

Notes are compared by the cosine between the vectors of their words, each weighted by how rare it is (inverse document
frequency). How often one note repeats a word tells nothing: most are a single sentence.
"""

from __future__ import annotations

import difflib
import gc
import math
from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping, Sequence
from functools import lru_cache

from review_bot_lib.release_notes import Note, read_release_notes
from review_bot_lib.words import roots, words

ON_TOPIC = 2 / 3  # share of the words of a topic that a note must have: of two both, of three two, of four three
CLOSE_SPELLING = 0.75  # of difflib: 1 is the same word

Vector = Mapping[str, float]


class Index:
    """An immutable index over release notes."""

    def __init__(self, notes: Sequence[Note]) -> None:
        self.notes = tuple(notes)
        self._postings: dict[str, list[int]] = defaultdict(list)
        told = [roots(note["text"]) for note in self.notes]
        headings = {heading: roots(heading) for heading in {note["heading"] for note in self.notes}}
        for place, note in enumerate(self.notes):
            for root in {*headings[note["heading"]], *told[place]}:
                self._postings[root].append(place)
        self._words = Counter(word for note in self.notes for word in words(note["text"]))
        self._vectors = {note["text"]: self._weigh(told[place]) for place, note in enumerate(self.notes)}

    @property
    def packages(self) -> list[str]:
        """In the order of the notes."""
        return list(dict.fromkeys(note["package"] for note in self.notes))

    def about(self, topic: str, package: str | None = None, since: str | None = None) -> list[Note]:
        """The notes on a topic, in the order of reading.

        Only those of one package, and only those released on the day `since` (ISO 8601) or later. A topic that names
        packages means these, and all that is told of them if it has no other word.
        """
        named = {name for name in self.packages if name.lower() in words(topic)}
        wanted = [name for name in self.packages if package in (None, name) and (name in named or not named)]
        asked = [root for root in dict.fromkeys(roots(topic)) if not any(root in roots(name) for name in named)]
        told: Counter[int] = Counter()
        for root in asked:
            told.update(self._postings.get(root, ()))
        places = range(len(self.notes)) if named and not asked else sorted(told)
        return [
            note
            for note, common in ((self.notes[place], told[place]) for place in places)
            if common >= ON_TOPIC * len(asked)
            and note["package"] in wanted
            and (since is None or (note["date"] or "") >= since)
        ]

    def other_topics(self, topic: str, package: str | None = None, since: str | None = None) -> list[str]:
        """What to ask instead of a topic that has no notes: its words as the notes spell them, together and each."""
        known = self._words
        spelled = []
        for word in words(topic):
            close = [word] if word in known else difflib.get_close_matches(word, known, cutoff=CLOSE_SPELLING)
            spelled += [max(close, key=lambda each: known[each])] if roots(word) and close else []
        topics = dict.fromkeys([" ".join(spelled), *spelled])
        return [each for each in topics if self.about(each, package, since)]

    def vector(self, text: str) -> Vector:
        """Of length 1; empty if the text has no word that tells anything."""
        return self._vectors.get(text) or self._weigh(roots(text))

    def _weigh(self, told: Sequence[str]) -> Vector:
        return unit({root: self._rarity(root) for root in told})

    def _rarity(self, root: str) -> float:
        return math.log(1 + len(self.notes) / (1 + len(self._postings.get(root, ()))))


def cosine(one: Vector, other: Vector) -> float:
    """How alike two vectors of length 1 are: 0 not at all, 1 the same."""
    if len(other) < len(one):
        one, other = other, one
    return sum(weight * other[term] for term, weight in one.items() if term in other)


def centroid(vectors: Iterable[Vector]) -> Vector:
    """What they have in common: the direction of their sum."""
    total: dict[str, float] = defaultdict(float)
    for vector in vectors:
        for term, weight in vector.items():
            total[term] += weight
    return unit(total)


def unit(vector: Vector) -> Vector:
    """The vector at length 1."""
    length = math.sqrt(sum(weight * weight for weight in vector.values()))
    return {term: weight / length for term, weight in vector.items() if length}


@lru_cache(maxsize=1)
def release_notes() -> Index:
    """The index over the release notes of what is installed, built at the first call in a process (about 0.4 s)."""
    # A third of the time would go to the garbage collector, which walks over all that Airflow has imported whenever the
    # Markdown parser has made another few thousand tokens.
    collecting = gc.isenabled()
    gc.disable()
    try:
        return Index(read_release_notes())
    finally:
        if collecting:
            gc.enable()
