from airflow.providers.standard.operators.bash import BashOperator
from airflow.sdk import DAG, BaseHook, Connection, Variable, task

GREETING = Variable.get("greeting", default="nothing")
REGION = Variable.get("region", default="nowhere")
LIMITS = Variable.get("limits", deserialize_json=True, default={})
try:
    HOST = BaseHook.get_connection("from_file").host
except Exception as error:
    HOST = type(error).__name__

with DAG("secrets_user", schedule=None, doc_md=f"{GREETING} {REGION} {HOST}") as dag:

    @task
    def use(rendered):
        missing = Variable.get("no_such_variable", default="absent")
        try:
            Connection.get("no_such_connection")
        except Exception as error:
            unknown = type(error).__name__
        from_env = Connection.get("from_env")
        return {
            "parse": [GREETING, REGION, LIMITS, HOST],
            "task": [Variable.get("greeting"), Variable.get("region"), Variable.get("limits", deserialize_json=True)],
            "connections": [
                from_env.host,
                from_env.port,
                from_env.login,
                from_env.password,
                Connection.get("from_file").schema,
            ],
            "rendered": rendered,
            "missing": [missing, unknown],
        }

    dag.add_result(
        use(
            "{{ var.value.greeting }}/{{ var.json.limits.rows }}/{{ conn.from_file.host }}/{{ var.value.get('x', 'y') }}"
        )
    )
    BashOperator(task_id="shell", bash_command="echo {{ conn.from_env.host }} {{ conn.from_env.password }}")
