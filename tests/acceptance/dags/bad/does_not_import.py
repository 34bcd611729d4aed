"""A DAG file that needs what is not there."""

from airflow.sdk import DAG  # noqa: F401

import no_such_module_anywhere  # noqa: F401
