"""One DAG for each menu beside this file, and three from a loop."""

import json
from pathlib import Path

import yaml
from airflow.sdk import DAG, task


def make(dag_id, dishes):
    with DAG(dag_id=dag_id, schedule=None) as dag:

        @task
        def order(params=None):
            return f"{dag_id}: {', '.join(dishes)}"

        dag.add_result(order())
    return dag


for path in sorted((Path(__file__).parent / "menus").glob("*.yaml")):
    config = yaml.safe_load(path.read_text())
    globals()[config["name"]] = make(config["name"], config["dishes"])

with open(Path(__file__).parent / "menus" / "more.json") as file:
    for entry in json.load(file):
        make(entry["name"], entry["dishes"])  # registers itself: `with DAG` does
for number in range(3):
    globals()[f"table_{number}"] = make(f"table_{number}", [str(number)])
