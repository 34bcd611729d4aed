"""Ask Airflow's own documentation a question, in the shape of a retrieval pipeline."""

from __future__ import annotations

from typing import Any

from airflow.sdk import Param, dag, result, task
from airflow.sdk.exceptions import AirflowSkipException
from ask_astro_lib import language
from ask_astro_lib.answers import Candidate, Verdict, check, merge, order, quote, retrieve
from ask_astro_lib.index import documentation

PASSAGES_PER_QUESTION = 8
NO_ANSWER = "Airflow's own documentation does not answer this question."

# The documentation is read here, while the file is parsed (about 0.4 s), and not when the first task needs it: the
# processes that are forked from the one that parsed the file then share the index, and no caller waits for it.
documentation()


@dag(
    schedule=None,
    catchup=False,
    tags=["example", "retrieval"],
    params={
        "question": Param(
            type="string",
            minLength=1,
            pattern=r"\S",
            title="Question",
            description="What you want to know about Airflow, in English.",
            examples=[
                "What is the maximum number of task instances that can run at once?",
                "How do I wait for a file to appear?",
            ],
        ),
        "verify": Param(
            True,
            type="boolean",
            title="Verify",
            description="Check that the passages found speak of what was asked, and leave out those that do not.",
        ),
        "max_sources": Param(
            3,
            type="integer",
            minimum=1,
            maximum=10,
            title="Sources",
            description="The most passages to check and to name as sources.",
        ),
    },
)
def ask_astro() -> None:
    """
    ### Ask Astro

    Answers a question about Airflow from the documentation that the installed Airflow carries: its configuration
    reference, the docstrings of what a DAG author imports, and its command line. No model and no network: the same
    question, the same answer.

    1. `rephrase` words the question in up to three ways
    2. `find_answers` looks passages up, once for each wording
    3. `deduplicate` merges them into a few candidates
    4. `verify` checks each candidate; with `verify` false this step is skipped, and only this step
    5. `answer` quotes the best candidate and names its sources
    """

    @task
    def rephrase(params: dict[str, Any]) -> list[str]:
        return language.rephrase(params["question"])

    @task
    def find_answers(question: str) -> list[Candidate]:
        return retrieve(documentation(), question, PASSAGES_PER_QUESTION)

    @task
    def deduplicate(found: list[list[Candidate]], params: dict[str, Any]) -> list[Candidate]:
        return merge(found, params["max_sources"])

    @task
    def verify(candidate: Candidate, params: dict[str, Any]) -> Verdict:
        if not params["verify"]:
            raise AirflowSkipException("this call asked for no verification")
        return check(documentation(), params["question"], candidate)

    # The default rule, all_success, would skip the answer together with `verify`.
    @result
    @task(trigger_rule="none_failed")
    def answer(
        questions: list[str], candidates: list[Candidate], verdicts: list[Verdict] | None, params: dict[str, Any]
    ) -> dict[str, Any]:
        question = params["question"]
        best = order(candidates, list(verdicts or ()))
        sources = [
            {
                "title": source["title"],
                "location": source["location"],
                "excerpt": quote(documentation(), question, source),
                "score": source["score"],
            }
            for source in best
        ]
        return {
            "question": question,
            "answer": f"{sources[0]['excerpt']} {best[0]['hint']}" if best else NO_ANSWER,
            "sources": sources,
            "verified": bool(best) and params["verify"],
            "questions": questions,
        }

    questions = rephrase()
    candidates = deduplicate(find_answers.expand(question=questions))
    answer(questions, candidates, verify.expand(candidate=candidates))


ask_astro()
