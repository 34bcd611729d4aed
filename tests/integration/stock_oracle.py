"""Run generated DAGs in stock Airflow and write down how each task instance ended.

    python stock_oracle.py SPECS.json RESULTS.json

Needs an empty AIRFLOW_HOME of its own; runs in a process of its own because stock Airflow changes the process it is
imported in. What a spec holds is described in `test_machine_against_stock.py`.
"""

import json
import sys
import time
from pathlib import Path
from typing import Any

DAG_FILE = """
import sys
sys.path.insert(0, {folder!r})
from stock_oracle import build_all
globals().update(build_all({specs!r}))
"""


def build_all(specs_path: str) -> dict[str, Any]:
    return {spec["dag_id"]: build(spec) for spec in json.loads(Path(specs_path).read_text())}


def build(spec: dict[str, Any]) -> Any:
    from datetime import datetime, timedelta

    from airflow.sdk import DAG, BaseOperator
    from airflow.sdk.bases.branch import BaseBranchOperator
    from airflow.sdk.exceptions import AirflowFailException, AirflowSkipException

    def act(script: dict[str, Any], context: Any) -> Any:
        ti = context["ti"]
        acts = script["acts"].get(str(ti.map_index), script["acts"]["default"])
        what = acts[min(ti.try_number, len(acts)) - 1]
        if what == "fail":
            raise RuntimeError("told to fail")
        if what == "fail_for_good":
            raise AirflowFailException("told to fail for good")
        if what == "skip":
            raise AirflowSkipException("told to skip")
        return None if what == "none" else list(range(script["length"]))

    class Scripted(BaseOperator):
        def __init__(self, *, script: dict[str, Any], item: Any = None, more: Any = None, **kwargs: Any) -> None:
            super().__init__(**kwargs)
            self.script = script
            self.item = item
            self.more = more

        def execute(self, context: Any) -> Any:
            return act(self.script, context)

    class ScriptedBranch(BaseBranchOperator):
        def __init__(self, *, script: dict[str, Any], **kwargs: Any) -> None:
            super().__init__(**kwargs)
            self.script = script

        def choose_branch(self, context: Any) -> Any:
            act(self.script, context)
            return self.script["follow"]

    tasks: dict[str, Any] = {}
    with DAG(spec["dag_id"], start_date=datetime(2024, 1, 1), schedule=None, fail_fast=spec["fail_fast"]) as dag:
        for task in spec["tasks"]:
            common = {
                "task_id": task["task_id"],
                "retries": task["retries"],
                "retry_delay": timedelta(0),
            }
            if not task["teardown"]:
                common["trigger_rule"] = task["rule"]
            script = {"acts": task["acts"], "length": task["length"], "follow": task["follow"]}
            if task["expand"]:
                arguments = {
                    name: list(range(source)) if isinstance(source, int) else tasks[source].output
                    for name, source in task["expand"].items()
                }
                operator = Scripted.partial(script=script, **common).expand(**arguments)
            else:
                operator = (ScriptedBranch if task["follow"] is not None else Scripted)(script=script, **common)
            tasks[task["task_id"]] = operator
            if task["setup"]:
                operator.as_setup()
            for up in task["upstream"]:
                tasks[up] >> operator
            if task["teardown"]:
                operator.as_teardown(on_failure_fail_dagrun=task["on_failure_fail_dagrun"])
    return dag


def main(specs_path: str, results_path: str) -> None:
    import logging
    import os

    folder = Path(os.environ["AIRFLOW_HOME"]) / "dags"
    folder.mkdir(parents=True)
    (folder / "generated.py").write_text(DAG_FILE.format(folder=str(Path(__file__).parent), specs=specs_path))

    from airflow.utils.db import initdb

    initdb()
    from airflow import settings
    from airflow.dag_processing.bundles.manager import DagBundlesManager
    from airflow.dag_processing.dagbag import BundleDagBag, sync_bag_to_db

    manager = DagBundlesManager()
    manager.sync_bundles_to_db()
    (bundle,) = manager.get_all_dag_bundles()
    bundle.initialize()
    bag = BundleDagBag(dag_folder=bundle.path, bundle_path=bundle.path, bundle_name=bundle.name, safe_mode=False)
    if bag.import_errors:
        raise SystemExit(f"generated DAGs do not import: {bag.import_errors}")
    sync_bag_to_db(bag, bundle.name, None)
    # All DAGs are known now: `DAG.test` need not parse the folder anew each time, nor sleep when a round of its
    # loop only skipped something.
    DagBundlesManager.get_all_dag_bundles = lambda self: iter(())  # type: ignore[method-assign]
    time.sleep = lambda seconds: None
    logging.disable(logging.CRITICAL)

    results: dict[str, Any] = {}
    for dag_id, dag in bag.dags.items():
        run = dag.test(logical_date=None)
        session = settings.Session()
        instances = run.get_task_instances(session=session)
        results[dag_id] = {
            "state": str(run.state),
            "instances": sorted(
                [ti.task_id, ti.map_index, str(ti.state) if ti.state else "none", ti.try_number] for ti in instances
            ),
        }
        session.close()
    Path(results_path).write_text(json.dumps(results))


if __name__ == "__main__":
    main(*sys.argv[1:])
