"""The words: how text becomes terms, and how everyday English becomes Airflow's own vocabulary.

This is the module to change when a question is misunderstood.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from functools import lru_cache

_STOP_WORDS = """
    a after airflow an and any apache are as ask astro at be been before best between but by can certain change
    could do does for from get give had happen happens has have having how i if in instead into is it its let like
    long look make may me mean means must my need needs not of off on one only or our out please set should so some
    something still tell than that the their them then there these they this those three times to turn twice two
    until up us use used uses using via want was way ways we were what when where which while who whose why will
    with would write you your
"""
STOP_WORDS = frozenset(_STOP_WORDS.split())

# What people say -> what Airflow's documentation says. A key matches whole words, whatever their endings; where several
# keys match, the longest wins.
VOCABULARY = {
    "active at once": "active",
    "active at the same time": "active",
    "another dag": "external dag",
    "appear": "land exist",
    "approve": "approval",
    "arrive": "land exist",
    "at once": "concurrently",
    "at the same time": "concurrently",
    "branch": "branch follow path",
    "choose": "branch follow path",
    "cron": "cron schedule",
    "daily": "cron expression",
    "day of the week": "weekday",
    "different dag": "external dag",
    "directory": "folder",
    "dynamic task mapping": "task mapping",
    "e-mail": "email",
    "encrypt": "fernet key",
    "every day": "cron expression",
    "every hour": "cron expression",
    "exit": "fail",
    "finish": "complete",
    "frequently": "interval",
    "how many": "maximum number",
    "how often": "every interval seconds",
    "in parallel": "concurrently",
    "job": "task",
    "limit": "maximum number",
    "metadata database": "sql alchemy database conn",
    "mysql": "sql alchemy database conn",
    "not show": "import errors",
    "not showing up": "import errors",
    "not shown": "import errors",
    "notify": "notifier",
    "other dag": "external dag",
    "pass data between tasks": "xcom",
    "pipeline": "dag",
    "postgres": "sql alchemy database conn",
    "python code": "python callable",
    "python function": "python callable",
    "rerun": "clear",
    "retry": "retries",
    "s3": "remote s3",
    "share data between tasks": "xcom",
    "shell command": "bash command",
    "shell script": "bash command",
    "simultaneously": "concurrently",
    "sql query": "execute sql query",
    "sqlite": "sql alchemy database conn",
    "stop": "timeout",
    "take too long": "execution timeout",
    "time out": "execution timeout",
    "time zone": "default timezone",
    "timeout": "execution timeout",
    "trigger a dag": "trigger dag run",
    "trigger another dag": "trigger dag run operator",
    "virtual environment": "virtualenv",
    "wait": "wait sensor",
    "web server": "api server",
    "web ui": "api server",
    "webserver": "api server",
    "where": "folder",
    "workflow": "dag",
}
LONGEST_KEY = 5  # words


@dataclass(frozen=True, slots=True)
class Concept:
    """One thing a question is about: the terms it was asked with, and the terms Airflow would use for it."""

    asked: tuple[str, ...]
    meant: tuple[str, ...]
    wording: str
    """What Airflow's documentation would call it, or the words of the question."""


def terms(text: str) -> list[str]:
    """The searchable terms of a text in order: those of camelCase and snake_case names too, stemmed, no stop words."""
    return [_stem(word) for word in words(text) if word not in STOP_WORDS and len(word) > 1]


def words(text: str) -> list[str]:
    """All words of a text in order, in lower case: those that camelCase and snake_case names are made of too."""
    text = text.replace("DAGs", "dag").replace("XCom", "_xcom_")
    return [word.lower() for word in re.findall(r"[A-Z]+\d*(?![a-z])|[A-Z]?[a-z]+\d*|\d+", text)]


def sentences(text: str) -> list[str]:
    """The sentences of a plain text in order."""
    parts = re.split(r"(?<!e\.g\.)(?<!i\.e\.)(?<=[.!?])\s+(?=[A-Z`\[(])|\n\n", text)
    return [part.strip() for part in parts if len(part.strip()) > 1]


def concepts(question: str) -> list[Concept]:
    """What a question is about, in the order asked; empty when it has no word that could be looked up."""
    words = re.findall(r"[\w-]+", question)
    found: list[Concept] = []
    while words:
        for length in range(min(len(words), LONGEST_KEY), 0, -1):
            said = " ".join(words[:length])
            meaning = _meanings().get(_key(said))
            asked = tuple(terms(said))
            if meaning or (length == 1 and asked):
                found.append(Concept(asked, tuple(terms(meaning or "")), meaning or said))
                break
        del words[:length]
    return list(dict.fromkeys(found))


def rephrase(question: str) -> list[str]:
    """The question, its keywords with Airflow's words for them, Airflow's words alone; fewer if they do not differ."""
    keywords = [word for word in re.findall(r"[\w-]+", question) if terms(word)]
    vocabulary = [word for concept in concepts(question) for word in concept.wording.split()]
    wordings = [question.strip(), _join(keywords + vocabulary), _join(vocabulary)]
    return list(dict.fromkeys(wording for wording in wordings if wording))


def _join(words: list[str]) -> str:
    first_spelling: dict[str, str] = {}
    for word in words:
        first_spelling.setdefault(word.lower(), word)
    return " ".join(first_spelling.values())


@lru_cache(maxsize=1)
def _meanings() -> dict[tuple[str, ...], str]:
    return {_key(said): meaning for said, meaning in VOCABULARY.items()}


def _key(phrase: str) -> tuple[str, ...]:
    return tuple(_stem(word.lower()) for word in phrase.split())


@lru_cache(maxsize=20_000)
def _stem(word: str) -> str:
    """Cut off the common endings. Crude on purpose: question and documentation only have to be cut the same way."""
    if word.endswith(("ies", "ied")) and len(word) > 4:
        return word[:-3] + "y"
    for ending in ("ing", "ed", "es", "s", "e"):
        if word.endswith(ending) and len(word) - len(ending) >= 3 and not word.endswith("ss"):
            word = word.removesuffix(ending)
            break
    if len(word) > 3 and word[-1] == word[-2] and word[-1] not in "ls":
        word = word[:-1]
    return word
