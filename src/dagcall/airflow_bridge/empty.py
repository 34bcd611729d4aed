"""Tasks that need no worker: nothing of them is run, so their templates are not rendered either."""

from airflow.sdk.bases.operator import BaseOperator
from airflow.sdk.definitions.mappedoperator import MappedOperator

Operator = BaseOperator | MappedOperator


def is_empty(task: Operator) -> bool:
    """As `DagRun.schedule_tis` decides which tasks need no worker (airflow/models/dagrun.py)."""
    return bool(
        task.inherits_from_empty_operator
        and not task.on_execute_callback
        and not task.on_success_callback
        and not task.outlets
        and not task.inlets
    )
