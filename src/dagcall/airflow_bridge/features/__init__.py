"""Every feature of Airflow 3.3 that a DAG file may use, and what dagcall does with it.

One table: `docs/compatibility.md` is written from it (scripts/compatibility_page.py), and notes about a DAG take their
words from it (`notes`). Arguments of `DAG` and `BaseOperator` and names of the template context are held complete by a
test that reads the installed Airflow.
"""

from dagcall.airflow_bridge.features.authoring import DECORATORS, ENDS, MAPPING, OPERATORS, RULES
from dagcall.airflow_bridge.features.dag_arguments import DAG_ARGUMENTS
from dagcall.airflow_bridge.features.feature import Feature, Verdict
from dagcall.airflow_bridge.features.running import AROUND, CONCURRENCY, DATA, SCHEDULES
from dagcall.airflow_bridge.features.task_arguments import TASK_ARGUMENTS
from dagcall.airflow_bridge.features.template_context import TEMPLATE_CONTEXT

TABLE: dict[str, tuple[Feature, ...]] = {
    "Arguments of DAG and @dag": DAG_ARGUMENTS,
    "Arguments of operators, @task and partial": TASK_ARGUMENTS,
    "Names in templates and in a task's context": TEMPLATE_CONTEXT,
    "Decorators": DECORATORS,
    "Operators and sensors": OPERATORS,
    "Trigger rules, setup and teardown, branches": RULES,
    "Dynamic mapping": MAPPING,
    "How tasks and runs end": ENDS,
    "What starts a run": SCHEDULES,
    "Data": DATA,
    "Concurrency": CONCURRENCY,
    "Around the tasks": AROUND,
}

__all__ = ["DAG_ARGUMENTS", "TABLE", "TASK_ARGUMENTS", "TEMPLATE_CONTEXT", "Feature", "Verdict"]
