"""`Reject` as Airflow knows it: a failure that no retry can help."""

from airflow.sdk.exceptions import AirflowFailException

from dagcall import reject


class Reject(reject.Reject, AirflowFailException):
    """`dagcall.Reject` where Airflow is installed; under stock Airflow it fails the task without another try."""
