"""Run some DAGs of a folder with stock Airflow's `dag.test()`, and write down how their task `ask` ended.

    python under_stock.py FOLDER NOTES RESULTS.json DAG_ID...

Needs an empty AIRFLOW_HOME of its own.
"""

import json
import logging
import sys
import time
from pathlib import Path
from typing import Any


def main(folder: str, notes: str, results_path: str, *dag_ids: str) -> None:
    from airflow.utils.db import initdb

    initdb()
    from airflow import settings
    from airflow.dag_processing.bundles.manager import DagBundlesManager
    from airflow.dag_processing.dagbag import BundleDagBag, sync_bag_to_db
    from airflow.models.xcom import XComModel
    from sqlalchemy import select

    manager = DagBundlesManager()
    manager.sync_bundles_to_db()
    (bundle,) = manager.get_all_dag_bundles()
    bundle.initialize()
    bag = BundleDagBag(dag_folder=folder, bundle_path=Path(folder), bundle_name=bundle.name, safe_mode=False)
    if bag.import_errors:
        raise SystemExit(f"the DAGs do not import: {bag.import_errors}")
    sync_bag_to_db(bag, bundle.name, None)
    DagBundlesManager.get_all_dag_bundles = lambda self: iter(())  # type: ignore[method-assign]
    sleep = time.sleep
    time.sleep = lambda seconds: sleep(min(seconds, 0.05))  # `dag.test()` would for a second when it has nothing to run
    logging.disable(logging.CRITICAL)

    results: dict[str, Any] = {}
    for dag_id in dag_ids:
        run = bag.dags[dag_id].test(run_conf={"folder": notes}, logical_date=None)
        with settings.Session() as session:
            (ask,) = (ti for ti in run.get_task_instances(session=session) if ti.task_id == "ask")
            xcoms = session.scalars(select(XComModel).filter_by(dag_id=dag_id, run_id=run.run_id, task_id="ask"))
            results[dag_id] = {
                "state": str(ask.state),
                "try_number": ask.try_number,
                "xcoms": {xcom.key: xcom.value for xcom in xcoms},
            }
    Path(results_path).write_text(json.dumps(results))


if __name__ == "__main__":
    main(*sys.argv[1:])
