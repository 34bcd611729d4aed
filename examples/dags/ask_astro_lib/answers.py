"""What happens to passages once they are found: merged, checked against the question, quoted.

All values are plain dictionaries, because they travel between tasks as XComs.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import TypedDict

from ask_astro_lib.index import Index
from ask_astro_lib.language import Concept, concepts, sentences, terms

RANK_CONSTANT = 60  # of reciprocal rank fusion: Cormack, Clarke and Büttcher, SIGIR 2009
SAME_TEXT = 0.8  # share of common terms from which on two passages say the same: docstrings repeat each other
SUPPORTED = 0.5  # share of what the question asks about that a passage must speak of, to count as an answer
QUOTED_SENTENCES = 3


class Candidate(TypedDict):
    """A passage that may answer the question."""

    title: str
    location: str
    text: str
    hint: str
    score: float


class Verdict(TypedDict):
    """Whether a candidate speaks of what was asked."""

    location: str
    support: float
    supported: bool


def retrieve(index: Index, question: str, limit: int) -> list[Candidate]:
    """The best passages for one wording of a question."""
    return [
        Candidate(title=found.title, location=found.location, text=found.text, hint=found.hint, score=round(score, 3))
        for found, score in index.search(question, limit)
    ]


def merge(rankings: Iterable[Sequence[Candidate]], limit: int) -> list[Candidate]:
    """One ranking out of several, by reciprocal rank fusion, without passages that repeat a better one."""
    fused: dict[tuple[str, str], Candidate] = {}
    for ranking in rankings:
        for rank, candidate in enumerate(ranking, start=1):
            known = fused.setdefault((candidate["location"], candidate["text"]), {**candidate, "score": 0.0})
            known["score"] += 1 / (RANK_CONSTANT + rank)
    kept: list[Candidate] = []
    for candidate in sorted(fused.values(), key=lambda each: -each["score"]):
        if len(kept) < limit and not any(_same(candidate, other) for other in kept):
            kept.append({**candidate, "score": round(candidate["score"], 4)})
    return kept


def check(index: Index, question: str, candidate: Candidate) -> Verdict:
    """How much of the question a candidate speaks of, by the rarity of the words: 0 nothing, 1 all."""
    asked = concepts(question)
    # One word is soon mentioned in passing: what a question of one concept is about has to be in the title.
    text = f"{candidate['title']} {candidate['text']}" if len(asked) > 1 else candidate["title"]
    support = _coverage(index, asked, text)
    return Verdict(location=candidate["location"], support=round(support, 3), supported=support >= SUPPORTED)


def order(candidates: Sequence[Candidate], verdicts: Sequence[Verdict]) -> list[Candidate]:
    """The supported candidates, those that speak of more of the question first; all of them if none was checked."""
    if not verdicts:
        return list(candidates)
    judged = zip(candidates, verdicts, strict=True)
    supported = [(candidate, verdict["support"]) for candidate, verdict in judged if verdict["supported"]]
    return [candidate for candidate, support in sorted(supported, key=lambda pair: -pair[0]["score"] * pair[1])]


def quote(index: Index, question: str, candidate: Candidate) -> str:
    """The sentences of a candidate that answer best: the first one and those about the question, in their own order."""
    asked = concepts(question)
    told = sentences(candidate["text"])
    ranked = sorted(range(len(told)), key=lambda place: (-_coverage(index, asked, told[place]), place))
    chosen = [0, *[place for place in ranked if place and _coverage(index, asked, told[place])]][:QUOTED_SENTENCES]
    text = " ".join(told[place] if told[place][-1] in ".!?:" else f"{told[place]}." for place in sorted(chosen))
    return text[0].upper() + text[1:]


def _coverage(index: Index, asked: Sequence[Concept], text: str) -> float:
    said = set(terms(text))
    total = covered = 0.0
    for concept in asked:
        weight = max(map(index.rarity, concept.asked or concept.meant))
        total += weight
        covered += weight * max(_share(concept.asked, said), _share(concept.meant, said))
    return covered / total if total else 0.0


def _share(wanted: Sequence[str], said: set[str]) -> float:
    return sum(term in said for term in wanted) / len(wanted) if wanted else 0.0


def _same(one: Candidate, other: Candidate) -> bool:
    left, right = set(terms(one["text"])), set(terms(other["text"]))
    return len(left & right) >= SAME_TEXT * len(left | right)
