"""What stock Airflow makes of the outlets of tasks: its asset events, and the runs that its scheduler creates for them.

    python stock_assets.py SPECS.json RESULTS.json

Needs an empty AIRFLOW_HOME of its own, and a process of its own. What a spec holds is described in
`test_against_stock.py`.
"""

import json
import os
import sys
from pathlib import Path
from types import SimpleNamespace
from typing import Any

DAG_FILE = """
import sys
sys.path.insert(0, {folder!r})
from stock_assets import build_all
globals().update(build_all({specs!r}))
"""


def build_all(specs_path: str) -> dict[str, Any]:
    return {dag.dag_id: dag for spec in json.loads(Path(specs_path).read_text()) for dag in build(spec)}


def build(spec: dict[str, Any]) -> list[Any]:
    """One DAG that names all assets, and the consumers."""
    from datetime import datetime

    from airflow.providers.standard.operators.empty import EmptyOperator
    from airflow.sdk import DAG, Asset, AssetAlias, AssetAll, AssetAny

    def asset_like(one: list[Any]) -> Any:
        kind, what = one
        match kind:
            case "asset":
                return Asset(what, f"at/{what}")
            case "name_ref":
                return Asset.ref(name=what)
            case "uri_ref":
                return Asset.ref(uri=f"at/{what}")
            case "alias":
                return AssetAlias(what)
            case _:
                return (AssetAll if kind == "all" else AssetAny)(*map(asset_like, what))

    with DAG(spec["prefix"] + "producer", schedule=None) as producer:
        outlets = [asset_like(["asset", name]) for name in spec["assets"]]
        EmptyOperator(task_id="make", outlets=[*outlets, *(asset_like(["alias", name]) for name in spec["aliases"])])
    dags = [producer]
    for number, condition in enumerate(spec["consumers"]):
        schedule, dag_id = asset_like(condition), f"{spec['prefix']}consumer{number}"
        arguments = {"start_date": datetime(2024, 1, 1), "catchup": spec["catchup"], "max_active_runs": 1000}
        with DAG(dag_id, schedule=schedule, **arguments) as dag:
            EmptyOperator(task_id="t")
        dags.append(dag)
    return dags


def outlet_events(step: dict[str, Any]) -> list[dict[str, Any]]:
    """As the Task SDK sends them (`_serialize_outlet_events`)."""
    made = []
    for event in step["events"]:
        one = {"dest_asset_key": {"name": event["asset"], "uri": f"at/{event['asset']}"}, "extra": event["extra"]}
        if event["alias"] is not None:
            one |= {"source_alias_name": event["alias"], "dest_asset_extra": {}}
        elif event["partition_key"] is not None:
            one["partition_key"] = event["partition_key"]
        made.append(one)
    return made


def profiles(step: dict[str, Any]) -> list[Any]:
    """As the Task SDK sends them (`_build_asset_profiles`)."""
    from airflow.sdk.api.datamodels._generated import AssetProfile

    makers = {
        "asset": lambda name: AssetProfile(name=name, uri=f"at/{name}", type="Asset"),
        "name_ref": lambda name: AssetProfile(name=name, type="AssetNameRef"),
        "uri_ref": lambda name: AssetProfile(uri=f"at/{name}", type="AssetUriRef"),
        "alias": lambda name: AssetProfile(name=name, type="AssetAlias"),
    }
    return [makers[kind](name) for kind, name in step["outlets"]]


def main(specs_path: str, results_path: str) -> None:
    import logging

    folder = Path(os.environ["AIRFLOW_HOME"]) / "dags"
    folder.mkdir(parents=True)
    (folder / "generated.py").write_text(DAG_FILE.format(folder=str(Path(__file__).parent), specs=specs_path))

    from airflow.utils.db import initdb

    initdb()
    from airflow import settings
    from airflow.dag_processing.bundles.manager import DagBundlesManager
    from airflow.dag_processing.dagbag import BundleDagBag, sync_bag_to_db
    from airflow.jobs.job import Job
    from airflow.jobs.scheduler_job_runner import SchedulerJobRunner
    from airflow.models.asset import AssetEvent
    from airflow.models.dagrun import DagRun
    from airflow.models.taskinstance import TaskInstance
    from airflow.utils.sqlalchemy import prohibit_commit
    from sqlalchemy import select, text

    manager = DagBundlesManager()
    manager.sync_bundles_to_db()
    (bundle,) = manager.get_all_dag_bundles()
    bundle.initialize()
    bag = BundleDagBag(dag_folder=bundle.path, bundle_path=bundle.path, bundle_name=bundle.name, safe_mode=False)
    if bag.import_errors:
        raise SystemExit(f"generated DAGs do not import: {bag.import_errors}")
    sync_bag_to_db(bag, bundle.name, None)
    logging.disable(logging.CRITICAL)
    scheduler = SchedulerJobRunner(job=Job(), executors=[])

    def shown(event: Any) -> list[Any]:
        aliases = sorted(alias.name for alias in event.source_aliases)
        return [event.asset.name, event.extra, aliases, event.partition_key, event.source_map_index]

    def take(spec: dict[str, Any], step: dict[str, Any]) -> dict[str, Any]:
        session = settings.Session()
        known_events = set(session.scalars(select(AssetEvent.id)))
        known_runs = set(session.scalars(select(DagRun.id)))
        ti = SimpleNamespace(
            dag_id=spec["prefix"] + "producer",
            task_id="make",
            run_id="r",
            map_index=step["map_index"],
            dag_run=SimpleNamespace(partition_key=None, partition_date=None),
            log=logging.getLogger("ti"),
        )
        TaskInstance.register_asset_changes_in_db(ti, profiles(step), outlet_events(step), session=session)
        # The scheduler does this once a minute, and `Asset.ref` finds an asset that was just made only afterwards.
        scheduler._update_asset_orphanage(session=session)
        session.commit()
        with prohibit_commit(session) as guard:
            scheduler._create_dagruns_for_dags(guard, session)
        session.commit()
        events = session.scalars(select(AssetEvent).where(AssetEvent.id.not_in(known_events)))
        runs = session.scalars(select(DagRun).where(DagRun.id.not_in(known_runs)))
        found = {
            "events": [shown(event) for event in events],
            "runs": {run.dag_id: [shown(event) for event in run.consumed_asset_events] for run in runs},
        }
        session.close()
        return found

    with settings.Session() as session:
        session.execute(text("UPDATE dag SET is_paused = 0"))
        session.commit()
    results = [[take(spec, step) for step in spec["steps"]] for spec in json.loads(Path(specs_path).read_text())]
    Path(results_path).write_text(json.dumps(results))


if __name__ == "__main__":
    main(*sys.argv[1:])
