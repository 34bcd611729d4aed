"""DAG files as people write them who never saw this project, in `strangers/`."""

import json
import os
import shutil
import subprocess
import sys
import zipfile
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from dagcall.errors import DagNotFound

from ..serving import Failed, Serving

STRANGERS = Path(__file__).parent / "strangers"


STOCK = """
import json, pathlib, sys, time
from airflow.utils.db import initdb

initdb()
from airflow.dag_processing.bundles.manager import DagBundlesManager
from airflow.dag_processing.dagbag import BundleDagBag, sync_bag_to_db

folder, calls, out = pathlib.Path(sys.argv[1]), json.loads(sys.argv[2]), pathlib.Path(sys.argv[3])
bag = BundleDagBag(folder, bundle_path=folder, bundle_name="dags-folder")
assert not bag.import_errors, bag.import_errors
DagBundlesManager().sync_bundles_to_db()
sync_bag_to_db(bag, "dags-folder", None)
# All DAGs are known now: `DAG.test` need not parse the folder anew for each, nor sleep between its rounds.
DagBundlesManager.get_all_dag_bundles = lambda self: iter(())
time.sleep = lambda seconds: None
report = {}
for dag_id, conf in calls.items():
    dag = bag.dags[dag_id]
    run = dag.test(run_conf=conf, logical_date=None)
    (result,) = [task.task_id for task in dag.tasks if task.returns_dag_result]
    instance = next(each for each in run.get_task_instances() if each.task_id == result)
    report[dag_id] = [str(run.state), instance.xcom_pull(task_ids=result)]
out.write_text(json.dumps(report))
"""
CALLS: dict[str, Any] = {"functions": {"count": 4}, "lunch": {}, "with_helpers": {"size": 2}}
StockRun = Callable[[], dict[str, Any]]


@pytest.fixture(scope="module", autouse=True)
def stock(tmp_path_factory: pytest.TempPathFactory) -> Iterator[StockRun]:
    """The same files in stock Airflow, which runs while the other tests do, for it takes long."""
    home = tmp_path_factory.mktemp("stock")
    environment = {name: value for name, value in os.environ.items() if not name.startswith("AIRFLOW")} | {
        "AIRFLOW_HOME": str(home),
        "AIRFLOW__CORE__DAGS_FOLDER": str(STRANGERS),
        "AIRFLOW__CORE__LOAD_EXAMPLES": "False",
        "PYTHONDONTWRITEBYTECODE": "1",
    }
    report, messages = home / "report.json", home / "messages.txt"
    with messages.open("wb") as output:
        process = subprocess.Popen(
            [sys.executable, "-c", STOCK, str(STRANGERS), json.dumps(CALLS), str(report)],
            env=environment,
            cwd=home,
            stdout=output,
            stderr=output,
        )

    def result() -> dict[str, Any]:
        assert process.wait(100) == 0, messages.read_text()[-3000:]
        found: dict[str, Any] = json.loads(report.read_text())
        return found

    yield result
    process.kill()
    process.wait()


@pytest.fixture(scope="module")
def strangers(served: Serving) -> Serving:
    """Copied into a folder that is served already."""
    with pytest.raises(DagNotFound):
        served.start("classic")
    shutil.copytree(STRANGERS, served.folder, dirs_exist_ok=True, ignore=shutil.ignore_patterns("__pycache__"))
    served.wait_for_dag("classic", "functions", "lunch", "with_helpers", "templated", "secrets_user", "virtualenv")
    return served


def test_all_import(strangers: Serving) -> None:
    assert not {name for name in strangers.errors() if (STRANGERS / name).exists()}
    assert not any(path.startswith("ignored") for path in strangers.errors())


def test_operators_branches_and_retries(strangers: Serving) -> None:
    run = strangers.start("classic", {"name": "Bea", "extra": "more"})
    assert strangers.value_of(run) == "HELLO BEA? MORE"
    strangers.do(ended(run))
    states = {instance.task.task_id: instance.state.value for instance in run.machine.instances()}
    assert states == {
        **dict.fromkeys(["begin", "greet", "shout", "flaky", "branch", "many", "end", "gate"], "success"),
        **dict.fromkeys(["few", "never"], "skipped"),
    }
    assert run.machine.instances()[0].task.operator == "EmptyOperator"


def test_functions_mapped_and_reduced(strangers: Serving) -> None:
    assert strangers.call("functions") == {"total": 5, "terms": 3}
    assert strangers.call("functions", {"count": 10}) == {"total": 285, "terms": 10}
    plan = strangers.coordinator.catalog.find("functions")
    assert plan.doc_md == "Squares, summed."
    assert plan.params_schema["properties"]["count"] == {
        "type": "integer",
        "minimum": 1,
        "maximum": 50,
        "description": "How many numbers",
        "default": 3,
    }


def test_a_shell_command_as_a_function(strangers: Serving) -> None:
    assert strangers.call("shell", {"who": "there"}) == "hello there"


@pytest.mark.parametrize(
    ("dag_id", "answer"),
    [("lunch", "lunch: soup, bread"), ("dinner", "dinner: fish"), ("table_0", "table_0: 0"), ("table_2", "table_2: 2")],
)
def test_a_factory_makes_many(strangers: Serving, dag_id: str, answer: str) -> None:
    assert strangers.call(dag_id) == answer


def test_helper_modules_and_packages(strangers: Serving) -> None:
    assert strangers.call("with_helpers", {"size": 7}) == "21 cm."


def test_template_files(strangers: Serving) -> None:
    assert strangers.call("templated", {"region": "south"}) == {
        "query": {
            "sql": "select * from orders where region = 'south' limit 10",
            "parameters": {"who": "SOUTH", "when": "True"},
        },
        "script": "report for south in templated",
    }


def test_variables_and_connections(strangers: Serving) -> None:
    assert strangers.call("secrets_user") == {
        "parse": ["hello", "north", {"rows": 7}, "db.example"],
        "task": ["hello", "north", {"rows": 7}],
        "connections": ["host.example", 8080, "user", "secret", "sales"],
        "rendered": "hello/7/db.example/y",
        "missing": ["absent", "AirflowNotFoundException"],
    }
    assert strangers.coordinator.catalog.find("secrets_user").doc_md == "hello north db.example"


def test_a_virtual_environment_with_requirements(strangers: Serving) -> None:
    try:
        assert strangers.call("virtualenv", {"text": "Škoda"}) == "Skoda"
    except Failed as failed:  # no package index can be reached from here
        assert_says_why(failed)


def test_an_impossible_environment_says_why_in_one_sentence(strangers: Serving) -> None:
    assert_says_why(strangers.failure("impossible_virtualenv"))


def assert_says_why(failed: Failed) -> None:
    message = failed.message
    assert message.startswith("The task's virtual environment could not be built: "), message
    assert "\n" not in message
    assert len(message) < 500


def test_a_zip_archive(served: Serving) -> None:
    archive = served.folder.parent / "archive.zip"
    with zipfile.ZipFile(archive, "w") as file:
        file.writestr(
            "zipped.py",
            "from airflow.sdk import dag, task\nfrom zipped_helper import VALUE\n"
            "@dag(schedule=None)\ndef zipped():\n    @task\n    def value():\n        return VALUE\n"
            "    return value()\nzipped()\n",
        )
        file.writestr("zipped_helper.py", "VALUE = 'from a zip'\n")
    os.replace(archive, served.folder / "archive.zip")
    served.wait_for_dag("zipped")
    assert served.call("zipped") == "from a zip"


def test_the_same_files_give_the_same_in_stock_airflow(strangers: Serving, stock: StockRun) -> None:
    expected = {dag_id: ["success", strangers.call(dag_id, conf)] for dag_id, conf in CALLS.items()}
    assert stock() == expected


async def ended(run: Any) -> None:
    while not run.head.state.is_final:
        await run.changed()
