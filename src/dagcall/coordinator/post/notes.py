"""What servers say to each other, as texts. Pure.

A note only causes its receiver to look: at a run that it drives, into the journal, or again at what it waits for. So a
note that was lost, repeated, is late or was sent by somebody else than a server does no harm that looking once more, or
the next renewal, does not mend. One that this version does not know is nobody's.
"""

from collections.abc import Iterable, Iterator, Sequence
from typing import TypeVar

import msgspec

from dagcall.journal.wire import LONGEST
from dagcall.model.ids import RunKey

Key = tuple[str, str]
"""A `RunKey` as it travels."""
T = TypeVar("T")

_ROOM = LONGEST - 200
"""Bytes for what a note lists."""


class Note(msgspec.Struct, frozen=True, tag_field="note", omit_defaults=True):
    """`sender`: the epoch of the server that says it."""

    sender: int


class Hello(Note, frozen=True, tag="hello"):
    """To all: the sender listens from now on, what was said to it before may be lost."""


class Watch(Note, frozen=True, tag="watch"):
    """To a run's owner: say when there is more of these runs. Answered at once with `News`, and good for a while."""

    runs: tuple[Key, ...]


class Unwatch(Note, frozen=True, tag="unwatch"):
    """To a run's owner: never mind."""

    runs: tuple[Key, ...]


class News(Note, frozen=True, tag="news"):
    """To who watches: these runs have so many records now; 0: the sender does not drive the run."""

    runs: tuple[tuple[str, str, int], ...]


class Moved(Note, frozen=True, tag="moved"):
    """To all: runs have another owner now."""


class Altered(Note, frozen=True, tag="altered"):
    """To all: these runs, which had ended, were deleted or added to."""

    runs: tuple[Key, ...]


class WatchDags(Note, frozen=True, tag="watch_dags"):
    """To all: say when there is more of any run of these DAGs. Answered at once by each, and good for a while."""

    dag_ids: tuple[str, ...]


class DagNews(Note, frozen=True, tag="dag_news"):
    """To who watches: there is more of these runs; without a run id, of any run of the DAG."""

    runs: tuple[Key, ...]


class Letter(Note, frozen=True, tag="letter"):
    """To a run's owner: in the store lies a letter with this number."""

    number: str


class Answered(Note, frozen=True, tag="answered"):
    """To who wrote a letter: its answer lies in the store."""

    number: str


class Told(Note, frozen=True, tag="told"):
    """To all, or one: something about a topic that other parts of the server know about."""

    topic: str
    text: str = ""


AnyNote = Hello | Watch | Unwatch | News | Moved | Altered | WatchDags | DagNews | Letter | Answered | Told

_decoder: "msgspec.json.Decoder[AnyNote]" = msgspec.json.Decoder(AnyNote)
_encoder = msgspec.json.Encoder()


class Unsayable(ValueError):
    """A note that is longer than a text may be."""


def encode(note: Note) -> str:
    """Raises Unsayable."""
    text = _encoder.encode(note)
    if len(text) > LONGEST:
        raise Unsayable(f"a note of {len(text)} bytes")
    return text.decode()


def decode(text: str) -> AnyNote | None:
    """None when it is no note, or none that this version knows."""
    try:
        return _decoder.decode(text)
    except (msgspec.MsgspecError, UnicodeError, RecursionError):
        return None


def packed(items: Iterable[T]) -> Iterator[tuple[T, ...]]:
    """As many at a time as have room in one note."""
    page: list[T] = []
    size = 0
    for item in items:
        length = len(_encoder.encode(item)) + 1
        if page and size + length > _ROOM:
            yield tuple(page)
            page, size = [], 0
        page.append(item)
        size += length
    if page:
        yield tuple(page)


def keys(runs: Sequence[Key]) -> list[RunKey]:
    return [RunKey(*run) for run in runs]
