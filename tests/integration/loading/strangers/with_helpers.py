from airflow.sdk import dag, task
from plain_helper import FACTOR
from toolbox import scale
from toolbox.units import UNIT


@dag(schedule=None, params={"size": 5})
def with_helpers():
    @task
    def measure(params):
        from toolbox.late import SUFFIX

        return f"{scale(params['size'], FACTOR)} {UNIT}{SUFFIX}"

    return measure()


with_helpers()
