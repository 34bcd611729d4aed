"""DAGs that are started by data."""

import os
import time

from airflow.sdk import DAG, Asset, AssetAlias, dag, task

orders, left, right, gate = Asset("orders"), Asset("left"), Asset("right"), Asset("gate")


@dag(schedule=None, params={"n": 0})
def takes_order():
    @task(outlets=[orders])
    def take(params, outlet_events):
        outlet_events[orders].extra = {"n": params["n"]}
        return params["n"]

    return take()


def seen(triggering_asset_events):
    return {asset.name: [event.extra for event in events] for asset, events in triggering_asset_events.items()}


with DAG("ships_orders", schedule=[orders]):
    task(seen, task_id="seen")()

with DAG("joins", schedule=left & right):
    task(seen, task_id="seen")()

with DAG("one_at_a_time", schedule=[gate], max_active_runs=1):

    @task(retries=3, retry_delay=0.0)
    def wait(triggering_asset_events):
        while not os.path.exists(os.environ["AIRFLOW_HOME"] + "/open"):
            time.sleep(0.01)
        return seen(triggering_asset_events)

    wait.override(task_id="seen")()

takes_order()

with DAG("writes_through_an_alias", schedule=None):

    @task(outlets=[AssetAlias("invoices")])
    def write(outlet_events):
        outlet_events[AssetAlias("invoices")].add(orders, extra={"through": "alias"})

    write()
