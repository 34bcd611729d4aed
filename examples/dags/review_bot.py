"""Ask what the release notes of the installed packages say on a topic, in the shape of an aggregation pipeline."""

from __future__ import annotations

from typing import Any

from airflow.sdk import Param, dag, result, task
from review_bot_lib import wording
from review_bot_lib.digest import Digest, aggregate, by_package, digest
from review_bot_lib.index import release_notes
from review_bot_lib.release_notes import Note

# The release notes are read here, while the file is parsed (about 0.4 s), and not when the first task needs them: the
# processes that are forked from the one that parsed the file then share them, and no caller waits for it.
PACKAGES = release_notes().packages


@dag(
    schedule=None,
    catchup=False,
    tags=["example", "aggregation"],
    params={
        "topic": Param(
            type="string",
            minLength=1,
            maxLength=200,
            pattern=r"\S",
            title="Topic",
            description="What to look for, in English: a few words, or the name of a package.",
            examples=["memory leak", "Python 3.14", "pydantic JSON schema"],
        ),
        "max_points": Param(
            3,
            type="integer",
            minimum=1,
            maximum=20,
            title="Points",
            description="The most release notes to quote.",
        ),
        "package": Param(
            None,
            type=["string", "null"],
            enum=[None, *PACKAGES],
            title="Package",
            description="Only the release notes of this package.",
        ),
        "since": Param(
            None,
            type=["string", "null"],
            format="date",
            title="Since",
            description="Only releases of this day or later; leaves out those without a date.",
        ),
    },
)
def review_bot() -> None:
    """
    ### Review bot

    Sums up what many people wrote about one topic: the release notes inside the installed packages, more than a
    thousand short reports of fixes, features and breaking changes. No model and no network: the same topic, the same
    summary, until a package is updated.

    1. `find` looks up the notes on the topic
    2. `anything_found` decides how to go on
    3. `digest_package` counts the notes of one package and chooses the strongest
    4. `suggest` looks for topics that would have been found; either this or the digests are skipped
    5. `summarise` puts the digests together, or says politely that there is nothing
    """

    @task
    def find(params: dict[str, Any]) -> list[list[Note]]:
        return by_package(release_notes().about(params["topic"], params["package"], params["since"]))

    @task.branch
    def anything_found(found: list[list[Note]]) -> str:
        return "digest_package" if found else "suggest"

    @task
    def digest_package(notes: list[Note], params: dict[str, Any]) -> Digest:
        return digest(release_notes(), notes, params["max_points"])

    @task
    def suggest(params: dict[str, Any]) -> list[str]:
        return release_notes().other_topics(params["topic"], params["package"], params["since"])

    # The default rule, all_success, would skip the summary together with the branch that was not taken.
    @result
    @task(trigger_rule="none_failed_min_one_success")
    def summarise(
        digests: list[Digest] | None, suggestions: list[str] | None, params: dict[str, Any]
    ) -> dict[str, Any]:
        topic = params["topic"].strip()
        whole = aggregate(release_notes(), list(digests or ()), params["max_points"])
        if whole["packages"]:
            text = wording.summary(topic, whole)
        else:
            searched = [params["package"]] if params["package"] else PACKAGES
            text = wording.regret(topic, searched, params["since"], suggestions or ())
        return {
            "topic": topic,
            "summary": text,
            "found": sum(whole["packages"].values()),
            **whole,
            "suggestions": suggestions or [],
        }

    found = find()
    digests = digest_package.expand(notes=found)
    suggestions = suggest()
    anything_found(found) >> [digests, suggestions]
    summarise(digests, suggestions)


review_bot()
