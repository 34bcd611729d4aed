"""Finds passages by their words: an inverted index with BM25 weights.

BM25 as in Robertson and Zaragoza, "The Probabilistic Relevance Framework: BM25 and Beyond" (2009). What a term adds to
a passage's score does not depend on the query, so it is computed once, when the index is built, and a search only adds
numbers up.
"""

from __future__ import annotations

import gc
import heapq
import math
from collections import Counter, defaultdict
from collections.abc import Sequence
from functools import lru_cache

from ask_astro_lib.corpus import Passage, read_passages
from ask_astro_lib.language import STOP_WORDS, terms, words

SATURATION = 1.2  # k1: the usual value
LENGTH_WEIGHT = 0.6  # b: below the usual 0.75, as a short parameter description is not better than a class docstring
NAME_WEIGHT = 2  # how many more times a word of the name counts; it counts once for the title, which contains the name
NAMED_BONUS = 0.5  # what the question names completely gains half its score, so that "task group" finds TaskGroup first
STOP_WORD_RARITY = 2  # in a name: a question about variables does not name the command "variables get" completely
DETAIL_WEIGHT = 0.8  # see `Passage.is_detail`


class Index:
    """An immutable index over passages."""

    def __init__(self, passages: Sequence[Passage]) -> None:
        self.passages = tuple(passages)
        names = [set(terms(passage.name)) for passage in self.passages]
        counts = [
            Counter(terms(passage.name) * NAME_WEIGHT + terms(f"{passage.title} {passage.text}"))
            for passage in self.passages
        ]
        lengths = [sum(count.values()) for count in counts]
        average = sum(lengths) / max(1, len(lengths))
        occurrences = Counter(term for count in counts for term in count)
        self._rarity = {term: self._idf(number) for term, number in occurrences.items()}
        # term -> (position of the passage, what the term adds to its score, the term's share of its name)
        self._postings: dict[str, list[tuple[int, float, float]]] = defaultdict(list)
        for position, (name, count, length) in enumerate(zip(names, counts, lengths, strict=True)):
            norm = SATURATION * (1 - LENGTH_WEIGHT + LENGTH_WEIGHT * length / average)
            stop_words = STOP_WORDS.intersection(words(self.passages[position].name))
            weight_of_name = sum(self._rarity[term] for term in name) + STOP_WORD_RARITY * len(stop_words)
            scale = DETAIL_WEIGHT if self.passages[position].is_detail else 1
            for term, times in count.items():
                weight = self._rarity[term] * times * (SATURATION + 1) / (times + norm) * scale
                share = self._rarity[term] / weight_of_name if term in name else 0.0
                self._postings[term].append((position, weight, share))

    def search(self, text: str, limit: int) -> list[tuple[Passage, float]]:
        """The `limit` best passages that share a term with the text, best first; ties go by order of reading."""
        weights: dict[int, float] = defaultdict(float)
        named: dict[int, float] = defaultdict(float)
        for term in dict.fromkeys(terms(text)):
            for position, weight, share in self._postings.get(term, ()):
                weights[position] += weight
                named[position] += share
        scores = [(-weight * (1 + NAMED_BONUS * named[position]), position) for position, weight in weights.items()]
        return [(self.passages[position], -score) for score, position in heapq.nsmallest(limit, scores)]

    def rarity(self, term: str) -> float:
        """How much a term tells (its inverse document frequency); one that occurs nowhere tells the most."""
        return self._rarity.get(term) or self._idf(0)

    def _idf(self, occurrences: int) -> float:
        return math.log(1 + (len(self.passages) - occurrences + 0.5) / (occurrences + 0.5))


@lru_cache(maxsize=1)
def documentation() -> Index:
    """The index over the installed Airflow's documentation, built at the first call in a process (about 0.4 s)."""
    # Parsing allocates very many short-lived nodes: with the collector on, half of the time goes to its walks over
    # everything that Airflow has imported, and it finds nothing, as syntax trees have no cycles.
    collecting = gc.isenabled()
    gc.disable()
    try:
        return Index(read_passages())
    finally:
        if collecting:
            gc.enable()
