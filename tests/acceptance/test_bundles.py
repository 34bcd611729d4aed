"""`dagcall serve` without a folder: Airflow's DAG bundles, and of them what is meant to be called."""

import json
from pathlib import Path
from textwrap import dedent

from .conftest import ServerFactory
from .serving import eventually

RESULT = """
    from airflow.sdk import dag, get_current_context, task
    {more}

    @dag(dag_id="{dag_id}", schedule=None)
    def make():
        @task
        def answer():
            ti = get_current_context()["ti"]
            return ["{answer}", ti.bundle_instance.name, str(ti.bundle_instance.path)]

        return answer()

    make()
"""
BATCH = """
    from airflow.sdk import dag, task

    @dag(dag_id="{dag_id}", schedule="@daily", tags={tags})
    def make():
        @task
        def work():
            pass

        work()

    make()
"""


def write(path: Path, text: str, **names: object) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(dedent(text).format(**{"more": "", **names}))


def bundles(**folders: Path) -> dict[str, str]:
    local = "airflow.dag_processing.bundles.local.LocalDagBundle"
    listed = [{"name": name, "classpath": local, "kwargs": {"path": str(path)}} for name, path in folders.items()]
    return {"AIRFLOW__DAG_PROCESSOR__DAG_BUNDLE_CONFIG_LIST": json.dumps(listed)}


def test_bundles_are_served_and_followed(tmp_path: Path, serve: ServerFactory) -> None:
    one, two = tmp_path / "one", tmp_path / "two"
    write(one / "both.py", RESULT, dag_id="both", answer="one")
    write(one / "helper.py", "NAME = 'of one'")
    write(one / "own.py", RESULT, dag_id="own", answer="own", more="import helper")
    write(one / "nightly.py", BATCH, dag_id="nightly", tags=[])
    write(one / "called.py", BATCH, dag_id="called", tags=["dagcall"])
    write(two / "sub" / "both.py", RESULT, dag_id="both", answer="two")
    late = tmp_path / "late"
    server = serve(dags=None, environment=bundles(one=one, two=two, late=late))
    assert {dag["dag_id"] for dag in server.http.get("/call").json()["dags"]} == {"both", "own", "called"}
    assert server.value("both") == ["one", "one", str(one)]
    assert server.call("called").status_code == 204
    hidden = server.call("nightly")
    assert hidden.status_code == 404
    assert "neither a result task nor the tag" in hidden.json()["detail"]

    shown = server.http.get("/api/v2/dags/own").json()
    assert (shown["bundle_name"], shown["relative_fileloc"], shown["is_paused"]) == ("one", "own.py", False)
    (error,) = server.http.get("/api/v2/importErrors").json()["import_errors"]
    assert (error["bundle_name"], error["filename"]) == ("two", "sub/both.py")

    write(two / "new.py", RESULT, dag_id="new", answer="new")
    eventually(lambda: server.call("new").status_code == 200, 20, "a new file of the second bundle")
    (one / "both.py").unlink()
    eventually(lambda: server.call("both").json() == ["two", "two", str(two)], 20, "the second bundle's turn")
    write(late / "late.py", RESULT, dag_id="late", answer="late")
    eventually(lambda: server.call("late").status_code == 200, 20, "a bundle whose folder came later")


def test_the_dags_folder_is_airflows_default_bundle(tmp_path: Path, serve: ServerFactory) -> None:
    write(tmp_path / "dags" / "nightly.py", BATCH, dag_id="nightly", tags=[])
    environment = {"AIRFLOW__CORE__DAGS_FOLDER": str(tmp_path / "dags"), "AIRFLOW__DAGCALL__EXPOSE": "all"}
    server = serve(dags=None, environment=environment)
    assert server.call("nightly").status_code == 204
    assert server.http.get("/api/v2/dags/nightly").json()["bundle_name"] == "dags-folder"
    assert "pools are dagcall's own" in server.messages.read_text()
    assert not (server.home / "airflow.db").exists()
    assert not any("dagcall: airflow" in " ".join(one.cmdline()) for one in server.family())
