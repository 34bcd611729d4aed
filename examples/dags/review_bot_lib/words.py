"""How text becomes words that can be compared."""

from __future__ import annotations

import re

from ask_astro_lib.language import terms

# What a verb ends in when it becomes a noun: detection and detector are about detecting.
_NOUN = re.compile(r"(?<=[a-z]{4})(?:(?<=[a-z]{5})at)?(?:ion|or|er)?$")

_NUMBER = re.compile(r"(?<![\w.])\d+(?:\.\d+)*")  # "3.14" is one word, or 3.8 and 3.9 would be the same


def words(text: str) -> list[str]:
    """As they are written, but in lower case; a name such as `charset-normalizer` is one word."""
    return re.findall(r"[a-z][\w-]*\w", text.lower())


def roots(text: str) -> list[str]:
    """What the words of a text have in common with their relatives, and its numbers; no words that tell nothing."""
    numbers = _NUMBER.findall(text)
    return [_NOUN.sub("", term, count=1) for term in terms(_NUMBER.sub(" ", text))] + numbers
