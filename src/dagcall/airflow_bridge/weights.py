"""Priority weights: a task's own and its weight rule to the one number that Airflow orders by.

Airflow asks the rule whenever it refreshes a task instance; here it is asked once, when the file is loaded. That is
the same for Airflow's three rules, which look at the graph only. A rule of the author's own is asked with a task
instance that has begun nothing yet.
"""

from types import SimpleNamespace
from typing import Any

from airflow.sdk.bases.operator import BaseOperator
from airflow.sdk.definitions.mappedoperator import MappedOperator
from airflow.task.priority_strategy import validate_and_load_priority_weight_strategy

Operator = BaseOperator | MappedOperator

_DEFAULT_WEIGHT = 1
_DEFAULT_RULE = "downstream"


def effective(task: Operator) -> int:
    """As `TaskInstance.refresh_from_task` computes it. Raises what a rule of the author's raises."""
    rule: Any = task.weight_rule
    if not hasattr(rule, "get_weight"):
        rule = validate_and_load_priority_weight_strategy(rule)
    instance = SimpleNamespace(
        task=task,
        task_id=task.task_id,
        dag_id=task.dag_id,
        map_index=-1,
        run_id=None,
        try_number=0,
        max_tries=task.retries,
    )
    return int(rule.get_weight(instance))


def is_written(task: Operator) -> bool:
    """Whether the author gave a weight or a rule."""
    rule = getattr(task.weight_rule, "value", task.weight_rule)
    return task.priority_weight != _DEFAULT_WEIGHT or rule != _DEFAULT_RULE


def is_own_rule(task: Operator) -> bool:
    """Whether the rule is the author's: a class registered by a plugin."""
    return getattr(task.weight_rule, "value", task.weight_rule) not in ("downstream", "upstream", "absolute")
