from airflow.sdk import DAG, result, task
from house_operators import GreetFormally

with DAG("house", schedule=None, params={"name": "ann"}):
    greet = GreetFormally(task_id="greet", name="{{ macros.house.shout(params.name) }}")

    @task
    def repeat(text):
        return [text] * 5

    @task
    def fail(items):
        raise ValueError(len(items))

    @task
    def each(item):
        return len(item)

    @result
    @task(trigger_rule="all_done")
    def tell(items, lengths, failed):
        return {"first": items[0], "count": len(items), "lengths": list(lengths)}

    items = repeat(greet.output)
    tell(items, each.expand(item=items), fail(items))
