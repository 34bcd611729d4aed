"""The link from a task that called a DAG to the run that it called."""

from typing import Any

from airflow.sdk import BaseOperatorLink


class CalledRunLink(BaseOperatorLink):
    """Where the server tells the outcome of the run; kept when the try ends."""

    name = "Called run"

    def get_link(self, operator: Any, *, ti_key: Any) -> str:
        return getattr(operator, "called_run_url", None) or ""
