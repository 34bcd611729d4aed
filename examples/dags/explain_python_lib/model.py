"""Stands in for a language model that streams: the same interface, tokens at a pace, and no network.

It has one thing to say, the passage it was given; a real one would be asked about it.
"""

import re
import time
from collections.abc import Iterator

_TOKEN = re.compile(r"\s*\S{1,8}|\s+")


def generate(passage: str, tokens_per_second: float) -> Iterator[str]:
    """The answer, token by token. Joined they are the whole."""
    for token in _TOKEN.findall(passage):
        time.sleep(1 / tokens_per_second)
        yield token
