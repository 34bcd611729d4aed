"""DAGs of several owners, each with an asset."""

from airflow.sdk import Asset, dag, result, task


def _owned(dag_id: str):
    @dag(dag_id=dag_id, schedule=None, params={"say": "hello"}, tags=[dag_id])
    def owned():
        @task(outlets=[Asset(f"asset_{len(dag_id)}", f"x://{len(dag_id)}")])
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


@dag(schedule=None, params={"fail": False})
def leaks():
    """Its author is careless with what is secret."""

    @task
    def tell():
        from airflow.sdk import BaseHook, Variable

        connection, variable = BaseHook.get_connection("vault"), Variable.get("api_secret")
        kept = BaseHook.get_connection("kept_vault"), Variable.get("kept_secret")
        print("connection", connection.password, connection.get_uri(), kept[0].password)
        print("variable", variable, kept[1])
        return len(variable)

    @result
    @task
    def fail(params, length):
        from airflow.sdk import BaseHook, Variable

        password, variable = BaseHook.get_connection("kept_vault").password, Variable.get("kept_secret")
        if params["fail"]:
            raise ValueError(f"{password} was refused, and so was {variable}")
        return length

    fail(length=tell())


leaks()
