"""What a run may leave behind: values, tries, mapped instances, failures, asset events."""

from airflow.exceptions import AirflowFailException
from airflow.sdk import DAG, Asset, Param, get_current_context, result, task

HARVEST = Asset("dagcall-harvest")

with DAG("greeting", params={"name": Param("world", type="string")}, tags=["dagcall"]) as greeting:

    @result
    @task
    def greet(name: str) -> str:
        print(f"about to greet {name}")
        return f"Hello, {name}!"

    greet("{{ params.name }}")

with DAG("shopping") as shopping:

    @task
    def items() -> list[str]:
        return ["bread", "milk", "tea"]

    @task(map_index_template="{{ item }}")
    def price(item: str) -> int:
        get_current_context()["item"] = item
        return len(item)

    @task(retries=2, retry_delay=0.01)
    def receipt(prices: list[int]) -> int:
        attempt = get_current_context()["ti"].try_number
        print(f"attempt {attempt}")
        if attempt < 3:
            raise RuntimeError(f"no paper in attempt {attempt}")
        return sum(prices)

    shopping.add_result(receipt(price.expand(item=items())))

with DAG("stumbling") as stumbling:

    @task
    def stumble() -> None:
        raise AirflowFailException("over a stone")

    @result
    @task
    def arrive(_: None) -> str:
        return "here"

    arrive(stumble())

with DAG("harvest") as harvest:

    @result
    @task(outlets=[HARVEST])
    def reap() -> int:
        get_current_context()["outlet_events"][HARVEST].extra = {"bales": 12}
        return 12

    reap()

with DAG("bakery", schedule=[HARVEST]) as bakery:

    @result
    @task
    def bake() -> list[int]:
        events = get_current_context()["triggering_asset_events"][HARVEST]
        return [event.extra["bales"] for event in events]

    bake()
