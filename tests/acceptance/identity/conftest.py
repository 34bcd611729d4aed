from collections.abc import Iterator
from pathlib import Path

import pytest

from ..serving import Server, eventually
from .airflow_users import HERE, bearer, environment


@pytest.fixture(scope="session")
def guarded(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    """`auth = airflow`. All its DAGs have been called once by `ada`, who may do everything."""
    home: Path = tmp_path_factory.mktemp("guarded")
    server = Server(home, HERE / "dags", environment=environment(home), python_path=[HERE / "managers"], workers=4)
    try:
        server.wait_until_loaded("/health/ready")
        for dag_id in ("common", "una_own", "vaults"):
            asked = {"run_id": "by-ada", "wait": "60"}
            answer = server.http.post(f"/call/{dag_id}", params=asked, json={}, headers=bearer("ada"))
            assert answer.status_code == 200, answer.text
            run = f"/api/v2/dags/{dag_id}/dagRuns/by-ada"
            ended = lambda run=run: server.http.get(run, headers=bearer("ada")).json()["state"] == "success"  # noqa: E731
            eventually(ended, 30, f"the end of {run}")
        yield server
        server.stop()
    finally:
        server.end()
