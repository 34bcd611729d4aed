"""Reads the release notes that installed packages carry in their description (what a package index shows of them).

Many packages end it with their change log: versions as headings, and under each of them a list of fixes and features,
most with the number of the issue that was reported. Each top-level item of such a list becomes a note.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from importlib.metadata import distributions
from typing import TypedDict

from dateutil import parser as dates
from markdown_it import MarkdownIt
from markdown_it.token import Token

from review_bot_lib.kinds import kind_of

_BEGINNING = re.compile(
    r"^(#+ *)?(\S+ )?(change ?log|changes|(change|releases?|version) (notes|history|information))[ \t]*$",
    re.IGNORECASE | re.MULTILINE,
)
_RELEASE = re.compile(r"(?:version |release )?\[?v?(\d+(?:\.\d+)+\w*)\b(.*)", re.IGNORECASE | re.DOTALL)
_DATE = re.compile(r"\d{4}[-/]\d\d[-/]\d\d|[A-Z][a-z]+ \d{1,2}[a-z]*,? \d{4}")
_LATEST = re.compile(r"release information", re.IGNORECASE)  # a heading over the notes of the installed version only
_NO_NOTES = re.compile(r"contributors", re.IGNORECASE)
# Who reported it and where, at the end of a note: "by @ada in #12", "(#12 by @ada)", "(issue #12)", ...
_CREDIT = re.compile(
    r"\s+(?:[\s(),[\]]|\b(?:by|in|and|issues?|pull|pr|closes|thanks)\b|@[\w.\[\]-]+|[\w/-]*#\d+|https://\S+/\d+|[\da-f]{7,40})+[.:]?$",
    re.IGNORECASE,
)
_NUMBER = re.compile(r"(?:#|/pull/|/issues/)(\d+)")
NO_HEADING = 9  # the level of a paragraph: below every heading


class Note(TypedDict):
    """One change as its authors tell it."""

    package: str
    version: str
    date: str | None
    """ISO 8601, of the release; None where the change log gives none."""
    heading: str
    kind: str
    text: str
    reference: str | None
    """The number of the issue or of the pull request, such as `#12`."""
    link: str | None


class _Markdown(MarkdownIt):
    """Leaves links as they are written: to escape them takes as long as to find them."""

    def normalizeLink(self, url: str) -> str:
        return url


@dataclass(frozen=True, slots=True)
class _Release:
    version: str
    date: str | None
    level: int
    """Of its heading: headings above it, or beside it, end the release, those below divide its notes."""


def read_release_notes() -> tuple[Note, ...]:
    """Of every installed package that carries any, by the name of the package, and in the order of its own writing.

    Raises `LookupError` if no package carries any.
    """
    found: dict[str, tuple[Note, ...]] = {}
    for distribution in distributions():
        # Most packages have none: a look at the raw text spares the cost of parsing it.
        if _BEGINNING.search(distribution.read_text("METADATA") or ""):
            about = distribution.metadata
            name, version = about["Name"], about["Version"]
            if name not in found:  # the one that an import would take comes first
                found[name] = tuple(notes_in(about["Description"] or "", name, version))
    if not any(found.values()):
        raise LookupError("no installed package carries release notes, although pydantic, which Airflow needs, does")
    return tuple(note for name in sorted(found, key=str.lower) for note in found[name])


def notes_in(description: str, package: str, version: str) -> Iterator[Note]:
    """The notes of one description, Markdown or reStructuredText; `version` is that of the description."""
    beginning = _BEGINNING.search(description)
    if beginning is None:
        return
    # What both languages share is all that a change log is made of, but for links and the smaller headings of
    # reStructuredText, which are left as plain paragraphs.
    text = re.sub(r"(?m)^([~^\"'+*#.])\1{2,}$", "", description[beginning.start() :])
    text = re.sub(r"(?<!`)`([^`<]+?)(?:\s<[^>]+>)?`__?(?!\w)", r"\1", text)
    tokens = _Markdown("commonmark").parse(text)
    release: _Release | None = None
    heading, depth = "", 0
    for place, token in enumerate(tokens):
        depth += token.nesting if token.type in ("list_item_open", "list_item_close") else 0
        if token.type == "heading_open" or (token.type == "paragraph_open" and not depth):
            title, level = _plain(tokens[place + 1]), int(token.tag[1:] or NO_HEADING)
            if begun := _release(title, level, version):
                release, heading = begun, ""
            elif level == NO_HEADING:
                heading = title.removesuffix(":") if title.endswith(":") else heading
            else:
                release, heading = (release, title) if release and level > release.level else (None, "")
        elif token.type == "list_item_open" and depth == 1 and release and not _NO_NOTES.search(heading):
            content = tokens[place + 2]
            if content.type == "inline" and (said := _plain(content)):
                yield _note(said, content, package, release, heading)


def _release(title: str, level: int, latest: str) -> _Release | None:
    """The release whose notes begin with a title, if it is one. Some authors write a release as a plain paragraph."""
    if _LATEST.match(title) and level != NO_HEADING:
        return _Release(latest, None, level)
    told = _RELEASE.match(title)
    dated = _DATE.search(told[2]) if told else None
    if not told or (level == NO_HEADING and not dated):
        return None
    return _Release(told[1], dates.parse(dated[0]).date().isoformat() if dated else None, level)


def _note(said: str, content: Token, package: str, release: _Release, heading: str) -> Note:
    credit = _CREDIT.search(said)
    number = _NUMBER.search(credit[0] if credit else said)
    links = [str(child.attrs["href"]) for child in content.children or () if "href" in child.attrs]
    links += re.findall(r"https://\S+/\d+", said)
    text = said[: credit.start()] if credit and re.search(r"[@#/]", credit[0]) else said
    return Note(
        package=package,
        version=release.version,
        date=release.date,
        heading=heading,
        kind=kind_of(heading, text),
        text=text,
        reference=f"#{number[1]}" if number else None,
        link=next((link for link in links if number and link.endswith(f"/{number[1]}")), None),
    )


def _plain(content: Token) -> str:
    """The words of a paragraph without its markup, but for the backticks around code."""
    parts = []
    for child in content.children or ():
        if child.type == "code_inline":
            parts.append(f"`{child.content}`")
        else:
            parts.append(" " if child.type.endswith("break") else child.content)
    return " ".join("".join(parts).split())
