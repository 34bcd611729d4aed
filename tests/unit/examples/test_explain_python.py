"""The parts of `explain_python`."""

import sys
from pathlib import Path

import pytest

sys.path.append(str(Path(__file__).parents[3] / "examples" / "dags"))  # as Airflow does with a DAGs folder

from explain_python_lib import model, topics


@pytest.mark.parametrize(
    ("question", "topic"),
    [
        ("What does the with statement do?", "with"),
        ("lambda", "lambda"),
        ("How do I format a string?", "string-methods"),
    ],
)
def test_the_topic_fits_the_question(question: str, topic: str) -> None:
    assert topics.find(question) == topic


def test_there_is_not_always_a_topic() -> None:
    with pytest.raises(LookupError):
        topics.find("xyzzy")


def test_tokens_are_the_whole_passage() -> None:
    passage = topics.passage("with", 100)
    assert "".join(model.generate(passage, 1e6)) == passage
    assert 100 <= len(passage.split()) < 300
