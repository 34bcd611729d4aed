"""A folder of 500 files."""

import resource
from pathlib import Path

from ..serving import Serving

FILES = 500
LIMIT = 30.0
"""Seconds on two cores, reckoned in CPU time: how long it takes while other tests run says nothing."""
FILE = """
from airflow.sdk import dag, task

@dag(dag_id="many_{number}", schedule=None, params={{"n": {number}}})
def build():
    @task
    def first(params):
        return params["n"]

    @task
    def second(value):
        return value + 1

    return second(first())

build()
"""


def test_500_files_are_served_soon(tmp_path: Path) -> None:
    folder = tmp_path / "dags"
    folder.mkdir()
    for number in range(FILES):
        (folder / f"many_{number}.py").write_text(FILE.format(number=number))
    begun = _cpu_seconds()
    with Serving(folder) as serving:
        assert len(serving.dag_ids()) == FILES
        assert not serving.errors()
        assert serving.call("many_250") == 251
        # Two at most, both of the file that was called: its second task does not wait long for the first one's worker.
        assert serving.coordinator.statistics()["workers"] in (1, 2), "a file that nobody calls costs no process"
    taken = (_cpu_seconds() - begun) / 2
    assert taken < LIMIT, f"{taken:.1f} s"


def _cpu_seconds() -> float:
    """Of this process and of all its descendants that have ended."""
    own, ended = resource.getrusage(resource.RUSAGE_SELF), resource.getrusage(resource.RUSAGE_CHILDREN)
    return own.ru_utime + own.ru_stime + ended.ru_utime + ended.ru_stime
