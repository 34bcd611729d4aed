"""Plugins that example DAGs need; Airflow registers them itself only together with its own folder of examples."""

from airflow.example_dags.plugins.decreasing_priority_weight_strategy import *  # noqa: F403
from airflow.example_dags.plugins.workday import *  # noqa: F403
