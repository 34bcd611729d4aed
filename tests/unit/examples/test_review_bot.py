"""The bodies of the `review_bot` example's tasks, over the release notes of the packages that are installed here."""

from __future__ import annotations

import itertools
import json
import re
import sys
from importlib.metadata import distribution
from pathlib import Path

import pytest

pytest.importorskip("markdown_it", reason="the release notes are those of an installed Airflow's dependencies")
sys.path.append(str(Path(__file__).parents[3] / "examples" / "dags"))  # as Airflow does with a DAGs folder

from review_bot_lib import wording
from review_bot_lib.digest import SAME, Digest, Source, aggregate, by_package, digest
from review_bot_lib.index import Index, centroid, cosine, release_notes
from review_bot_lib.kinds import KINDS, kind_of
from review_bot_lib.release_notes import Note, notes_in
from review_bot_lib.words import roots, words

MARKDOWN = """# A package

* not a note

## Changelog

### [1.2.0](https://example.com/1.2.0) (May 17th, 2024)

#### Fixed

- Fix `list[int]` in **deep** models by [@ada](https://example.com/ada) in [#12](https://example.com/pull/12)

  More about it.
- Fix a leak (#13) (#14
  by @bob).
    - a detail

#### New Contributors

- @bob made their first contribution in #14

### v1.1

Breaking:

- The old way (bar)

## License

- not a note either
"""

RESTRUCTURED = """
Version History
---------------

Version 2.1 - 2023-01-02
~~~~~~~~~~~~~~~~~~~~~~~~

2.0: 2022/12/31

- Add ``slots``; see `the guide
  <https://example.com>`__ (issue #7).

Version 1.9
-----------

- Drop support for Python 3.8.
"""


def note(text: str, package: str = "one", kind: str = "fix", date: str | None = "2024-05-17") -> Note:
    return Note(package=package, version="1.0", date=date, heading="", kind=kind, text=text, reference=None, link=None)


def whole(topic: str, limit: int = 3) -> Digest:
    """What the DAG's steps do, in one process."""
    index = release_notes()
    return aggregate(index, [digest(index, each, limit) for each in by_package(index.about(topic))], limit)


def test_markdown_is_read() -> None:
    one, two, three = notes_in(MARKDOWN, "made-up", "9")
    assert one == {
        "package": "made-up",
        "version": "1.2.0",
        "date": "2024-05-17",
        "heading": "Fixed",
        "kind": "fix",
        "text": "Fix `list[int]` in deep models",
        "reference": "#12",
        "link": "https://example.com/pull/12",
    }
    assert (two["text"], two["reference"], two["link"]) == ("Fix a leak", "#13", None)
    assert (three["version"], three["date"], three["kind"], three["text"]) == (
        "1.1",
        None,
        "breaking",
        "The old way (bar)",
    )


def test_restructured_text_is_read() -> None:
    added, dropped = notes_in(RESTRUCTURED, "made-up", "9")
    assert (added["version"], added["date"], added["kind"]) == ("2.0", "2022-12-31", "feature")
    assert (added["text"], added["reference"]) == ("Add `slots`; see the guide", "#7")
    assert (dropped["version"], dropped["date"], dropped["kind"]) == ("1.9", None, "breaking")


def test_notes_without_a_version_are_those_of_the_installed_one() -> None:
    (only,) = notes_in("## Release Information\n\n### Added\n\n- More.\n\n## Credits\n\n- Ada\n", "made-up", "9.1")
    assert (only["version"], only["heading"], only["text"]) == ("9.1", "Added", "More.")


@pytest.mark.parametrize("text", ["", "# A package\n\n- 1.0 is a number\n", "## Changelog\n\nSee [there](there.md).\n"])
def test_a_description_without_release_notes_has_none(text: str) -> None:
    assert list(notes_in(text, "made-up", "1")) == []


@pytest.mark.parametrize(
    ("heading", "text", "kind"),
    [
        ("Fixes", "Remove coercion of decimal constraints", "fix"),
        ("Removed", "Support for Python 3.6", "breaking"),
        ("Added", "Support for Python 3.6", "feature"),
        ("Packaging", "Drop support for PyPy 3.8", "breaking"),
        ("", "Fix deprecation warning on Python 3.6", "fix"),
        ("Changed", "Function `normalize` scheduled for removal in 3.0", "deprecation"),
        ("Fixed", "Header injection, CVE-2024-1234", "security"),
        ("Security", "Pin hashes", "security"),
        ("", "Lookup is 20% faster", "performance"),
        ("", "Now supports Windows", "feature"),
        ("Changes", "Use logging instead of warnings", "change"),
    ],
)
def test_kinds(heading: str, text: str, kind: str) -> None:
    assert kind_of(heading, text) == kind


def test_every_installed_note_is_whole() -> None:
    notes = release_notes().notes
    assert len(notes) > 300
    assert "pydantic" in release_notes().packages  # Airflow needs it, and its change log is long
    assert len(release_notes().packages) > 3
    for each in notes:
        assert distribution(each["package"]).version, "the package is installed"
        assert re.match(r"\d+\.\d+", each["version"])
        assert each["date"] is None or re.fullmatch(r"(19|20)\d\d-\d\d-\d\d", each["date"])
        assert each["kind"] in KINDS
        assert each["text"].strip() == each["text"] != ""
        assert each["reference"] is None or re.fullmatch(r"#\d+", each["reference"])
        assert each["link"] is None or each["link"].startswith("https://")
    assert sum(each["reference"] is not None for each in notes) > len(notes) / 2


def test_words_are_compared_by_their_roots_and_numbers_as_they_are() -> None:
    assert len({*roots("detection detector detecting detected")}) == 1
    assert len({*roots("serialization serializer serialize")}) == 1
    assert roots("Python 3.14t") == [*roots("python"), "3.14"]
    assert roots("HTTP/2") == ["http", "2"]
    assert roots("the of and") == roots("???") == []
    assert words("Python-dotenv, a LEAK") == ["python-dotenv", "leak"]


@pytest.mark.parametrize("topic", ["JSON schema", "Python 3.13", "type hints", "windows", "deprecated"])
def test_a_topic_finds_all_notes_that_have_its_words_and_no_other(topic: str) -> None:
    index = release_notes()
    asked = set(roots(topic))
    having = [each for each in index.notes if asked <= set(roots(f"{each['heading']} {each['text']}"))]
    assert having, "nothing to find"
    assert index.about(topic) == having


def test_a_long_topic_needs_most_of_its_words_only() -> None:
    texts = ["a memory leak in a thread pool", "a leak", "a thread pool", "unrelated", "something else"]
    index = Index([note(text) for text in texts])
    assert [each["text"] for each in index.about("memory leak of the thread pool")] == [texts[0]]
    assert [each["text"] for each in index.about("thread pool")] == [texts[0], texts[2]]
    assert [each["text"] for each in index.about("thread nonsense")] == []


@pytest.mark.parametrize("topic", ["xyzzy", "???", "the of and", "a"])
def test_nothing_is_made_up_for_other_topics(topic: str) -> None:
    assert release_notes().about(topic) == []
    assert release_notes().other_topics(topic) == []
    assert whole(topic) == Digest(packages={}, kinds={}, dates=[], points=[])


def test_package_and_date_narrow_it() -> None:
    index = release_notes()
    everything = index.about("python")
    since = sorted(each["date"] or "" for each in everything)[len(everything) // 2]
    assert index.about("python", since=since) == [each for each in everything if (each["date"] or "") >= since]
    package = everything[0]["package"]
    assert index.about("python", package) == [each for each in everything if each["package"] == package]
    assert len(index.about("python", package)) < len(everything)
    assert index.about("python", package, "9999-01-01") == []


def test_a_package_in_the_topic_means_the_package() -> None:
    index = release_notes()
    assert index.about("Pydantic") == [each for each in index.notes if each["package"] == "pydantic"]
    assert index.about("pydantic serialization") == index.about("serialization", "pydantic") != []
    assert index.about("pydantic", "attrs") == []


def test_other_topics_are_spelled_as_in_the_notes_and_do_find_something() -> None:
    index = release_notes()
    assert index.other_topics("serialisaton")[0] == "serialization"
    assert index.other_topics("pydntic")[0] == "pydantic"
    for topic in ("memry leek", "serialisaton performnce", "windows xyzzy"):
        assert index.about(topic) == []
        others = index.other_topics(topic)
        assert others
        assert all(index.about(other) for other in others)
    assert index.other_topics("serialisaton", since="9999-01-01") == []


def test_likeness() -> None:
    index = Index([note("fix a leak in the pool"), note("fix a leak in the cache"), note("add a plugin")])
    leak, cache, plugin = (index.vector(each["text"]) for each in index.notes)
    assert cosine(leak, leak) == pytest.approx(1)
    assert 0 < cosine(leak, cache) < 1
    assert cosine(leak, plugin) == 0
    assert cosine(leak, centroid([leak, cache])) > cosine(leak, centroid([leak, plugin]))
    assert index.vector("???") == centroid([]) == {}


def test_a_digest_counts_everything_and_quotes_the_strongest() -> None:
    texts = ["Fix leak in pool", "Fix leak in pool of workers", "Fix leak in pool at exit", "Rename the leak checker"]
    notes = [note(text) for text in texts]
    made = digest(Index(notes), notes, 1)
    assert (made["packages"], made["kinds"], made["dates"]) == ({"one": 4}, {"fix": 4}, ["2024-05-17", "2024-05-17"])
    assert [point["text"] for point in made["points"]] == [texts[0]]


def test_what_is_told_twice_is_quoted_once_with_both_sources() -> None:
    notes = [
        note("Fix a leak", "one"),
        note("Fix the leak.", "two", date=None),
        note("Fix a leak", "two", kind="breaking"),
        note("Fix a leak on Python 3.8", "one"),
        note("Fix a leak on Python 3.9", "one"),
        note("Something else", "one"),
    ]
    index = Index(notes)
    made = aggregate(index, [digest(index, each, 9) for each in by_package(notes)], 9)
    quoted = [point["text"] for point in made["points"]]
    assert sorted(quoted) == sorted(each["text"] for each in notes if each["text"] != "Fix the leak.")
    twice = next(point for point in made["points"] if point["kind"] == "fix" and point["text"] == "Fix a leak")
    assert [source["package"] for source in twice["sources"]] == ["one", "two"]
    assert made["packages"] == {"one": 4, "two": 2}
    assert made["kinds"] == {"breaking": 1, "fix": 5}
    assert list(made["kinds"]) == ["breaking", "fix"], "in the order of KINDS"


@pytest.mark.parametrize("topic", ["JSON schema", "python", "performance", "pydantic", "breaking changes"])
def test_a_summary_is_true_to_the_notes(topic: str) -> None:
    index = release_notes()
    notes = index.about(topic)
    made = whole(topic, limit=6)
    assert sum(made["packages"].values()) == sum(made["kinds"].values()) == len(notes)
    assert made["dates"] == [pick(each["date"] for each in notes if each["date"]) for pick in (min, max)]
    assert 0 < len(made["points"]) <= 6

    told = [(each["text"], each["package"], each["version"], each["reference"]) for each in notes]
    for point in made["points"]:
        source = point["sources"][0]
        quoted = (point["text"], source["package"], source["version"], source["reference"])
        assert quoted in told, "word for word, from where it stands"
        assert 0 < point["strength"] <= 1
    for one, other in itertools.combinations(made["points"], 2):
        likeness = cosine(index.vector(one["text"]), index.vector(other["text"]))
        assert one["kind"] != other["kind"] or likeness < SAME, "no repetition"


def test_the_same_question_has_the_same_answer_which_survives_json() -> None:
    made = whole("type hints")
    assert made == whole("type hints") == json.loads(json.dumps(made))


def test_the_words_of_a_summary() -> None:
    sources = [
        Source(package="one", version="1.0", date="2024-05-17", reference="#12", link=None),
        Source(package="two", version="2.0", date=None, reference=None, link=None),
    ]
    said = Digest(
        packages={"one": 3, "two": 1, "three": 1, "four": 1, "five": 1},
        kinds={"fix": 5, "change": 2},
        dates=["2024-05-17", "2024-05-17"],
        points=[{"text": "Fix a leak " * 30, "kind": "fix", "strength": 1.0, "sources": sources}],
    )
    head, line = wording.summary("leaks", said).splitlines()
    assert head == "leaks: 7 release notes (one 3, two 1, three 1, four 1 and 1 more, 2024-05-17). Fix 5, change 2."
    assert line.startswith('- fix: "Fix a leak Fix a leak')
    assert line.endswith(' ..." (one 1.0, 2024-05-17, #12; also two 2.0)')


def test_the_words_when_there_is_nothing() -> None:
    assert wording.regret("x", ["one"], None, []) == 'Sorry, the release notes of one say nothing on "x".'
    assert wording.regret("x", ["one", "two"], "2024-05-17", ["y", "z"]) == (
        'Sorry, the release notes of 2 installed packages say nothing on "x" since 2024-05-17. Try "y" or "z".'
    )
