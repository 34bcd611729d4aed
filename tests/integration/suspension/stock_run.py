"""Run every DAG of a folder once in stock Airflow and write down how it ended, XComs included.

    python stock_run.py FOLDER RESULTS.json

Needs an empty AIRFLOW_HOME of its own.
"""

import json
import sys
import time
from pathlib import Path
from typing import Any


def main(folder: str, results_path: str) -> None:
    import logging

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
    bag = BundleDagBag(dag_folder=folder, bundle_path=Path(folder).parent, bundle_name=bundle.name, safe_mode=False)
    if bag.import_errors:
        raise SystemExit(f"the DAGs do not import: {bag.import_errors}")
    sync_bag_to_db(bag, bundle.name, None)
    # All DAGs are known now: `DAG.test` need not parse the folder anew, nor sleep a second when it has nothing to run.
    DagBundlesManager.get_all_dag_bundles = lambda self: iter(())  # type: ignore[method-assign]
    sleep = time.sleep
    time.sleep = lambda seconds: sleep(min(seconds, 0.05))
    logging.disable(logging.CRITICAL)

    results: dict[str, Any] = {}
    for dag_id, dag in bag.dags.items():
        run = dag.test(logical_date=None)
        session = settings.Session()
        instances = run.get_task_instances(session=session)
        xcoms = session.scalars(select(XComModel).where(XComModel.dag_id == dag_id))
        results[dag_id] = {
            "state": str(run.state),
            "instances": sorted([ti.task_id, ti.map_index, str(ti.state), ti.try_number] for ti in instances),
            "xcoms": sorted([x.task_id, x.map_index, x.key, x.value] for x in xcoms),
        }
        session.close()
    Path(results_path).write_text(json.dumps(results))


if __name__ == "__main__":
    main(*sys.argv[1:])
