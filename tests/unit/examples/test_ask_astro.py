"""The retrieval of the `ask_astro` example, over the documentation of the Airflow that is installed here."""

from __future__ import annotations

import json
import sys
from pathlib import Path

import pytest

pytest.importorskip("yaml", reason="the documentation is that of an installed Airflow")
sys.path.append(str(Path(__file__).parents[3] / "examples" / "dags"))  # as Airflow does with a DAGs folder

from ask_astro_lib import language
from ask_astro_lib.answers import Candidate, check, merge, order, quote, retrieve
from ask_astro_lib.corpus import plain
from ask_astro_lib.index import documentation


def candidates(question: str, limit: int = 3) -> list[Candidate]:
    """What the DAG's steps do, in one process."""
    index = documentation()
    return merge([retrieve(index, wording, 8) for wording in language.rephrase(question)], limit)


def best(question: str) -> list[Candidate]:
    found = candidates(question)
    return order(found, [check(documentation(), question, each) for each in found])


@pytest.mark.parametrize(
    ("question", "location"),
    [
        ("What is the maximum number of task instances that can run at once?", "[core] parallelism"),
        ("How do I wait for a file to appear?", "FileSensor"),
        ("How do I run a bash command?", "BashOperator"),
        ("what is a dag bundle?", "BaseDagBundle"),
        ("How can I set the default retry delay?", "[core] default_task_retry_delay"),
        ("Where are logs stored?", "[logging] base_log_folder"),
        ("How do I trigger another dag?", "TriggerDagRunOperator"),
        ("What is a Dag?", "airflow.sdk.DAG"),
        ("How do I wait for a task in another dag to finish?", "ExternalTaskSensor"),
        ("How do I run Python code in a virtual environment?", "PythonVirtualenvOperator"),
        ("How do I send an email?", "EmailOperator"),
        ("How often are DAG files parsed?", "[dag_processor] min_file_process_interval"),
        ("How do I run a SQL query?", "SQLExecuteQueryOperator"),
        ("How do I create a backfill from the command line?", "airflow backfill create"),
        ("How do I encrypt passwords of connections?", "[core] fernet_key"),
        ("What is a task group?", "airflow.sdk.TaskGroup"),
        ("How can I change the time zone?", "[core] default_timezone"),
        ("What port does the web server use?", "[api] port"),
        ("Where does Airflow look for my DAG files?", "[core] dags_folder"),
        ("How do I retry with exponential backoff?", "retry_exponential_backoff"),
        ("How do I stop a dag run after a while?", "dagrun_timeout"),
        ("How do I wait until a certain time of day?", "TimeSensor"),
        ("How do I make a task retry three times?", "[core] default_task_retries"),
        ("How do I schedule a DAG every day at 6 am?", "airflow.sdk.DAG, parameter schedule"),
        ("How do I use Postgres instead of SQLite as the metadata database?", "[database] sql_alchemy_conn"),
        ("How many runs of a DAG can be active at the same time?", "[core] max_active_runs_per_dag"),
        ("How do I turn off the example DAGs?", "[core] load_examples"),
        ("How do I set a timeout for a task?", "[core] default_task_execution_timeout"),
        ("How do I pause a DAG?", "airflow dags pause"),
        ("What is a variable?", "airflow.sdk.Variable"),
        ("Why is my DAG not showing up?", "airflow dags list-import-errors"),
        ("Can I get an email when a task fails?", "[email] default_email_on_failure"),
    ],
)
def test_the_best_source_is_the_right_one(question: str, location: str) -> None:
    sources = best(question)
    assert sources, "nothing was found"
    assert location in sources[0]["location"]
    assert quote(documentation(), question, sources[0])


@pytest.mark.parametrize(
    "question", ["What is the capital of France?", "xyzzy?", "???", "the of and", "Wer bin ich?", "Who wrote Airflow?"]
)
def test_nothing_is_made_up_for_other_questions(question: str) -> None:
    assert best(question) == []


def test_the_quote_and_the_hint_answer_the_question() -> None:
    question = "What is the maximum number of task instances that can run at once?"
    source = best(question)[0]
    assert quote(documentation(), question, source).startswith("This defines the maximum number of task instances")
    assert "AIRFLOW__CORE__PARALLELISM" in source["hint"]
    assert "default is `32`" in source["hint"]


def test_rephrasing_begins_with_the_question_and_speaks_airflow() -> None:
    original, mixed, vocabulary = language.rephrase("  How do I wait for a file to appear? ")
    assert original == "How do I wait for a file to appear?"
    assert mixed.split()[:3] == ["wait", "file", "appear"]
    assert vocabulary == "wait sensor file land exist"
    assert language.rephrase("???") == ["???"]


def test_words_are_compared_without_their_endings() -> None:
    assert language.terms("Retries retried RETRY") == ["retry"] * 3
    assert language.terms("the LoggingFolders of S3_logs") == ["log", "folder", "s3", "log"]
    assert language.terms("TriggerDagRunOperator") == ["trigger", "dag", "run", "operator"]
    assert language.terms("DAGs XComs") == ["dag", "xcom"]


def test_merge_prefers_what_several_wordings_found_and_drops_repetitions() -> None:
    def passage(location: str, text: str) -> Candidate:
        return Candidate(title=location, location=location, text=text, hint="", score=1.0)

    first, second = passage("a", "one two three four"), passage("b", "five six seven eight")
    repetition = passage("c", "One, two, three, four!")
    merged = merge([[first, second], [second, repetition]], limit=3)
    assert [each["location"] for each in merged] == ["b", "a"]
    assert first["score"] == 1.0, "the input is left as it was"
    assert merge([[first, second]], limit=1) == [{**first, "score": merged[1]["score"]}]
    assert merge([], limit=3) == merge([[], []], limit=3) == []


def test_without_verdicts_every_candidate_stays() -> None:
    found = candidates("How do I wait for a file to appear?")
    assert order(found, []) == found
    assert order([], []) == []


def test_candidates_survive_the_way_through_json() -> None:
    found = candidates("Where are logs stored?")
    assert json.loads(json.dumps(found)) == found


def test_markup_is_removed() -> None:
    source = """
    Runs :class:`~airflow.sdk.BaseOperator` with ``bash``, see `the
    guide <https://example.com/a>`__ and **read** it::

        code = "gone"

    .. versionadded:: 3.0

    .. note:: Kept.

    .. code-block:: python

        also = "gone"
    """
    assert plain(source) == "Runs BaseOperator with `bash`, see the guide and read it:\n\nKept."


def test_items_of_a_list_are_paragraphs() -> None:
    assert plain("Either\n\n* ``a``: one,\n  or two\n* ``b``") == "Either\n\n`a`: one, or two\n\n`b`"


def test_a_literal_with_a_placeholder_is_kept() -> None:
    assert plain("Set ``schedule=<cron>`` or :doc:`read <https://example.com/a>`.") == "Set `schedule=<cron>` or read."


def test_a_default_that_airflow_generates_is_not_named() -> None:
    key = next(each for each in documentation().passages if each.location == "airflow.cfg [core] fernet_key")
    assert "FERNET_KEY" in key.hint
    assert "default" not in key.hint


def test_no_passage_shows_markup() -> None:
    marks = ("``", "\n.. ", ":class:", ":ref:", ">`_")
    assert [each.location for each in documentation().passages if any(mark in each.text for mark in marks)] == []


def test_passages_come_from_every_source() -> None:
    locations = [each.location for each in documentation().passages]
    options = [location for location in locations if location.startswith("airflow.cfg ")]
    assert len(options) == len(set(options)) > 250
    for beginning in ("airflow.cfg [common.io]", "airflow.sdk.", "airflow.providers.standard.", "command line: "):
        assert any(location.startswith(beginning) for location in locations), beginning
