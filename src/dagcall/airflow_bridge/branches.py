"""How far a task that may skip others reaches."""

from airflow.sdk.bases.operator import BaseOperator
from airflow.sdk.definitions.mappedoperator import MappedOperator

Operator = BaseOperator | MappedOperator


def skips_direct_only(task: Operator) -> bool:
    """Whether it skips only what is directly downstream of it. Of Airflow's own operators: `skip_all_except` of a
    branch does, and a short-circuit that respects trigger rules; an author's class may skip what it likes."""
    if not task.inherits_from_skipmixin or isinstance(task, MappedOperator):
        return False
    bases = type(task).__mro__
    if not bases[0].__module__.startswith("airflow."):
        return False
    if any(base.__name__ == "BranchMixIn" for base in bases):
        return True
    return getattr(task, "ignore_downstream_trigger_rules", True) is False
