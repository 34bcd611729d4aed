"""The Airflow that the tests of this folder have is one."""

from collections.abc import Callable

from ..serving import Server
from .conftest import DAG_IDS, Airflow


def test_it_serves_the_dags_of_the_folder(airflow: Airflow) -> None:
    assert {dag["dag_id"] for dag in airflow.get("/dags")["dags"]} == DAG_IDS
    assert airflow.get("/importErrors")["total_entries"] == 0
    assert airflow.get("/version", "victor")["version"].startswith("3.3.")


def test_dagcall_serves_them_too(airflow: Airflow, beside: Callable[..., Server]) -> None:
    server = beside()
    assert server.value("greeting", name="Ada") == "Hello, Ada!"
    assert server.value("shopping") == 12
