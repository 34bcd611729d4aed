from datetime import datetime, timedelta

from airflow.providers.standard.operators.bash import BashOperator
from airflow.providers.standard.operators.empty import EmptyOperator
from airflow.providers.standard.operators.python import BranchPythonOperator, PythonOperator, ShortCircuitOperator
from airflow.sdk import DAG

default_args = {"owner": "data-team", "retries": 1, "retry_delay": timedelta(seconds=0)}


def _greet(name, punctuation="!", **context):
    context["ti"].xcom_push(key="length", value=len(name))
    return f"Hello {name}{punctuation}"


def _flaky(**context):
    if context["ti"].try_number == 1:
        raise ValueError("the first try fails")
    return "second try"


with DAG(
    dag_id="classic",
    default_args=default_args,
    start_date=datetime(2023, 1, 1),
    schedule="@daily",
    catchup=False,
    params={"name": "Ann", "many": True},
    tags=["sales", "etl"],
    description="Operators, set by hand",
) as dag:
    begin = EmptyOperator(task_id="begin")
    greet = PythonOperator(
        task_id="greet", python_callable=_greet, op_kwargs={"name": "{{ params.name }}", "punctuation": "?"}
    )
    shout = BashOperator(
        task_id="shout",
        bash_command='echo first; echo \'{{ ti.xcom_pull(task_ids="greet") }} {{ dag_run.conf.get("extra", "-") }}\' | tr a-z A-Z',
    )
    flaky = PythonOperator(task_id="flaky", python_callable=_flaky)
    gate = ShortCircuitOperator(task_id="gate", python_callable=lambda: False)
    never = BashOperator(task_id="never", bash_command="exit 1")
    branch = BranchPythonOperator(
        task_id="branch", python_callable=lambda params: "few" if not params["many"] else "many"
    )
    few = EmptyOperator(task_id="few")
    many = EmptyOperator(task_id="many")
    end = EmptyOperator(task_id="end", trigger_rule="none_failed_min_one_success")

    begin >> greet >> shout >> flaky >> branch >> [few, many] >> end
    begin >> gate >> never
    dag.add_result(shout.output)
