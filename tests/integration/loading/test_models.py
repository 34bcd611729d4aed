"""The patterns of docs/models.md, as they are written there."""

import re
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

from ..serving import Serving

PAGE = Path(__file__).parents[3] / "docs" / "models.md"
BLOCKS: dict[str, str] = dict(re.findall(r"```python\n# (\w+\.py)\n(.*?)```", PAGE.read_text(), re.DOTALL))


@pytest.fixture(scope="module")
def serving(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Serving]:
    folder = tmp_path_factory.mktemp("models") / "dags"
    folder.mkdir()
    for name, text in BLOCKS.items():
        (folder / name).write_text(text)
    (folder / "unknown.py").write_text(
        'from airflow.sdk import DAG\nwith DAG("unknown", tags=["dagcall:workers=two"]):\n    pass\n'
    )
    with Serving(folder) as serving:
        yield serving


def test_a_model_is_loaded_once_a_worker(serving: Serving) -> None:
    first = serving.call("scoring", {"text": "abc"})
    assert first["score"] == 3
    assert first["loaded_by"] == first["worker"]
    for _ in range(5):
        assert serving.call("scoring", {"text": "abc"}) == first


def test_there_are_no_more_copies_than_the_tag_says(serving: Serving) -> None:
    started = threading.Barrier(12)
    answers = []

    def call() -> None:
        started.wait()
        answers.append(serving.call("scoring", {"text": "x" * 20}))

    callers = [threading.Thread(target=call) for _ in range(12)]
    for caller in callers:
        caller.start()
    for caller in callers:
        caller.join()
    assert len(answers) == 12
    assert len({answer["loaded_by"] for answer in answers}) <= 2
    assert all(answer["loaded_by"] == answer["worker"] for answer in answers)


def test_a_connection_is_kept_where_the_author_says_so(serving: Serving) -> None:
    first = serving.call("remote")
    assert first["answer"] == "ping"
    assert serving.call("remote") == first


def test_what_is_loaded_at_import_is_shared(serving: Serving) -> None:
    answers = [serving.value_of(run) for run in [serving.start("shared") for _ in range(4)]]
    assert {answer["found"] for answer in answers} == {"7"}
    (loaded_by,) = {answer["loaded_by"] for answer in answers}
    assert loaded_by not in {answer["worker"] for answer in answers}


def test_a_number_that_is_none_is_refused(serving: Serving) -> None:
    (refusal,) = serving.coordinator.catalog.find("unknown").refusals
    assert str(refusal) == "tag 'dagcall:workers=two': it must be a whole number above 0"
