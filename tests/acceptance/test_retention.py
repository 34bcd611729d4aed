"""`[dagcall] keep_runs`: an ended run is forgotten whole, its key with it."""

from .conftest import ServerFactory
from .serving import eventually


def test_a_run_that_is_not_kept_gives_its_key_back(serve: ServerFactory) -> None:
    server = serve(environment={"AIRFLOW__DAGCALL__KEEP_RUNS": "1"})
    first = server.http.post("/call/own_run", json={}, headers={"Idempotency-Key": "k"})
    eventually(lambda: server.http.get(first.headers["Location"]).status_code == 404, what="its end")
    again = server.http.post("/call/own_run", json={}, headers={"Idempotency-Key": "k"})
    assert again.status_code == 200
    assert again.json() != first.json()
