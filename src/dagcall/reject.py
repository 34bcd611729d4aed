"""`Reject`: how a task chooses the status that its caller gets.

The rule is here; what is raised is `airflow_bridge.reject.Reject` wherever Airflow is installed, because stock
Airflow must see an `AirflowFailException` (no further try), and `import dagcall` must not import Airflow.
"""

STATUSES = (404, 409, 422)
"""Statuses that speak about the caller's input. Others would lie about the server, or about who may do what."""


class Reject(Exception):
    """Fail this call for good, with this status and this text for the caller.

    `status`: 404, 409 or 422, anything else is a `ValueError`. `detail`: shown to the caller word for word.
    """

    def __init__(self, status: int = 422, detail: str = "") -> None:
        if status not in STATUSES:
            allowed = ", ".join(map(str, STATUSES))
            raise ValueError(f"Reject(status={status!r}): the status of a rejection is one of {allowed}")
        super().__init__(status, detail)
        self.status = status
        self.detail = detail

    def __str__(self) -> str:
        return self.detail or f"rejected with status {self.status}"
