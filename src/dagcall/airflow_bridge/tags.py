"""What an author asks of dagcall with tags on a DAG, which has no other field for settings of third parties.

    dagcall:isolation=task   every task gets a process of its own
    dagcall:coalesce         identical calls in flight share one run
    dagcall:cache=60         identical calls are answered with a run that has succeeded, for 60 s
    dagcall:share=everyone   both among all callers, not only among those of one
    dagcall:workers=2        at most 2 workers of the file, each with its copy of what it has loaded
    dagcall:keep-open        a worker is used again although a task left descriptors or threads in it
    dagcall:durability=power what its runs survive: none, process or power; a call may say otherwise
    dagcall:on_restart=fail  what becomes of a run that a restart interrupted: resume or fail

What concerns processes holds for the whole file, whichever of its DAGs says it.
A tag that begins with `dagcall:` and is none of these is refused: its author would miss what it asks for.
"""

import math
from collections.abc import Iterable, Iterator
from dataclasses import dataclass

from dagcall.model import survival
from dagcall.model.plan import Refusal
from dagcall.model.survival import DURABILITIES, Durability, OnRestart

PREFIX = "dagcall:"
ISOLATION = "dagcall:isolation=task"
COALESCE = "dagcall:coalesce"
CACHE = "dagcall:cache="
SHARE = "dagcall:share=everyone"
WORKERS = "dagcall:workers="
KEEP_OPEN = "dagcall:keep-open"
DURABILITY = "dagcall:durability="
ON_RESTART = "dagcall:on_restart="
_CHOICES: dict[str, tuple[str, ...]] = {DURABILITY: DURABILITIES, ON_RESTART: survival.ON_RESTART}


@dataclass(frozen=True)
class Wishes:
    """Fields as in `DagPlan`."""

    isolation: bool
    coalesce: bool
    cache_ttl: float | None
    shares_with_everyone: bool
    most_workers: int | None
    durability: Durability | None
    on_restart: OnRestart | None


def wishes(tags: Iterable[str]) -> Wishes:
    tags = frozenset(tags)
    ttls = [ttl for tag in tags if tag.startswith(CACHE) and (ttl := _seconds(tag)) is not None]
    workers = [count for tag in tags if tag.startswith(WORKERS) and (count := _count(tag)) is not None]
    return Wishes(
        isolation=ISOLATION in tags,
        coalesce=COALESCE in tags,
        cache_ttl=min(ttls, default=None),
        shares_with_everyone=SHARE in tags,
        most_workers=min(workers, default=None),
        # Of two that contradict each other, the safer one.
        durability=max((one for one in DURABILITIES if DURABILITY + one in tags), key=DURABILITIES.index, default=None),
        on_restart=max(
            (one for one in survival.ON_RESTART if ON_RESTART + one in tags),
            default=None,
            key=survival.ON_RESTART.index,
        ),
    )


def refusals(tags: Iterable[str]) -> Iterator[Refusal]:
    for tag in sorted(tags):
        if not tag.startswith(PREFIX) or tag in (ISOLATION, COALESCE, SHARE, KEEP_OPEN):
            continue
        if tag.startswith(WORKERS):
            if _count(tag) is None:
                yield Refusal(None, f"tag {tag!r}", "it must be a whole number above 0")
        elif (known_values := _CHOICES.get(tag[: tag.find("=") + 1])) is not None:
            if tag.partition("=")[2] not in known_values:
                yield Refusal(None, f"tag {tag!r}", f"it must be one of {', '.join(known_values)}")
        elif not tag.startswith(CACHE):
            known = ", ".join(
                (
                    ISOLATION,
                    COALESCE,
                    CACHE + "SECONDS",
                    SHARE,
                    WORKERS + "N",
                    KEEP_OPEN,
                    *(f"{one}..." for one in _CHOICES),
                )
            )
            yield Refusal(None, f"tag {tag!r}", f"dagcall knows no such tag; it knows {known}")
        elif _seconds(tag) is None:
            yield Refusal(None, f"tag {tag!r}", "the time must be a number of seconds above 0")


def _count(tag: str) -> int | None:
    text = tag.removeprefix(WORKERS)
    return int(text) if text.isascii() and text.isdecimal() and int(text) > 0 else None


def _seconds(tag: str) -> float | None:
    try:
        value = float(tag.removeprefix(CACHE))
    except ValueError:
        return None
    return value if 0 < value < math.inf else None
