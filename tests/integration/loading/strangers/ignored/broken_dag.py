from airflow.sdk import DAG
raise RuntimeError("must not be imported")
