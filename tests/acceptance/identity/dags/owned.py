"""DAGs of several owners, each with an asset."""

from airflow.sdk import Asset, dag, result, task


def _owned(dag_id: str):
    @dag(dag_id=dag_id, schedule=None, params={"say": "hello"}, tags=[dag_id])
    def owned():
        @task(outlets=[Asset(f"asset_of_{dag_id}", f"x://{dag_id}")])
        def note():
            print("looking around")

        @result
        @task
        def say(params):
            return f"{dag_id} says {params['say']}"

        note() >> say()

    return owned()


common = _owned("common")
una_own = _owned("una_own")
vaults = _owned("vaults")
