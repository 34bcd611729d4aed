"""A DAG file that needs what is not there."""

import no_such_module_anywhere  # noqa: F401
from airflow.sdk import DAG  # noqa: F401
