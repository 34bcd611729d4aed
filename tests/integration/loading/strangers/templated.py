from pathlib import Path

from airflow.providers.standard.operators.bash import BashOperator
from airflow.sdk import DAG, BaseOperator


class QueryOperator(BaseOperator):
    template_fields = ("sql", "parameters")
    template_ext = (".sql",)

    def __init__(self, *, sql, parameters=None, **kwargs):
        super().__init__(**kwargs)
        self.sql = sql
        self.parameters = parameters or {}

    def execute(self, context):
        return {"sql": " ".join(self.sql.split()), "parameters": self.parameters}


with DAG(
    "templated",
    schedule=None,
    params={"region": "north", "limit": 10},
    template_searchpath=[str(Path(__file__).parent / "templates")],
    user_defined_macros={"shout": str.upper},
    render_template_as_native_obj=False,
) as dag:
    query = QueryOperator(
        task_id="query",
        sql="orders.sql",
        parameters={"who": "{{ shout(params.region) }}", "when": "{{ run_id | length > 0 }}"},
    )
    script = BashOperator(task_id="script", bash_command="report.sh", env={"REGION": "{{ params.region }}"})
    query >> script
    dag.add_result(query.output)
    dag.add_result(script.output)
