-- As Airflow's dag_run_dag_id_logical_date_key. It also serves the questions that sensors ask: which runs of these dates.
CREATE UNIQUE INDEX runs_by_logical_date ON runs (dag_id, logical_date) WHERE logical_date IS NOT NULL;
