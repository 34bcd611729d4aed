"""What one row of the compatibility table says."""

from dataclasses import dataclass
from enum import Enum


class Verdict(Enum):
    """What dagcall does with a feature of Airflow."""

    RUNS = "runs as in Airflow"
    DIFFERS = "runs, differs"
    IGNORED = "not acted upon"
    REFUSED = "refused"


@dataclass(frozen=True)
class Feature:
    """One feature.

    `text`: how it differs, or what happens instead. `refused_as`: names of `refusals` that apply to it; as long as one
    of them exists, the feature is refused with its text. `refused_partly`: likewise, for a part of the feature.
    """

    name: str
    verdict: Verdict = Verdict.RUNS
    text: str = ""
    refused_as: tuple[str, ...] = ()
    refused_partly: tuple[str, ...] = ()


def runs(
    name: str, text: str = "", *, refused_as: tuple[str, ...] = (), refused_partly: tuple[str, ...] = ()
) -> Feature:
    return Feature(name, Verdict.RUNS, text, refused_as, refused_partly)


def differs(name: str, text: str, *, refused_partly: tuple[str, ...] = ()) -> Feature:
    return Feature(name, Verdict.DIFFERS, text, (), refused_partly)


def ignored(name: str, text: str) -> Feature:
    return Feature(name, Verdict.IGNORED, text)


def refused(name: str, *refused_as: str) -> Feature:
    return Feature(name, Verdict.REFUSED, "", refused_as or (name,))
