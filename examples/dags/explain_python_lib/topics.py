"""Python's own help topics (`help("with")`), which come with the interpreter: what the answers are made from."""

import re
from collections.abc import Iterator
from functools import cache
from pydoc_data.topics import topics

_WORD = re.compile(r"[a-z_]+")
_COMMON = frozenset(
    [
        "a",
        "an",
        "and",
        "are",
        "can",
        "do",
        "does",
        "for",
        "how",
        "i",
        "in",
        "is",
        "it",
        "of",
        "on",
        "or",
        "the",
        "this",
        "to",
        "used",
        "use",
        "what",
        "when",
        "why",
    ]
)


def find(question: str) -> str:
    """The name of the topic that fits the question best. Raises `LookupError` when none does."""
    wanted = set(_WORD.findall(question.lower())) - _COMMON
    scores = {name: _score(wanted, name) for name in topics}
    best = max(scores, key=lambda name: (scores[name], name))
    if not scores[best]:
        raise LookupError(f"no help topic of Python has to do with {question!r}")
    return best


def passage(name: str, most_words: int) -> str:
    """The beginning of a topic's text, in whole paragraphs, of about so many words."""
    text, words = [], 0
    for paragraph in _prose(name):
        text.append(paragraph)
        words += len(paragraph.split())
        if words >= most_words:
            break
    return "\n\n".join(text)


def _prose(name: str) -> Iterator[str]:
    """The paragraphs that are neither headings nor code, without the markup of the manual's source."""
    for paragraph in re.split(r"\n\s*\n", topics[name])[1:]:
        is_prose = len(paragraph.split()) >= 8 and not paragraph.startswith("    ") and "::=" not in paragraph
        if is_prose:
            yield re.sub(r"[*`\"]", "", " ".join(paragraph.split()))


@cache
def _words(name: str) -> frozenset[str]:
    return frozenset(_WORD.findall(topics[name][:2000].lower()))


def _score(wanted: set[str], name: str) -> float:
    return 3.0 * (name in wanted) + len(wanted & _words(name)) / (1 + len(wanted))
