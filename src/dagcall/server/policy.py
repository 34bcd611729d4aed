"""Who may do what. Every route declares one permission (`routes`); a policy answers it for each request."""

from dataclasses import dataclass
from enum import StrEnum
from typing import Protocol

from starlette.requests import Request


class Permission(StrEnum):
    """What a route lets its caller do. Named noun:verb; mapped to Airflow's by policies that ask Airflow."""

    NONE = "none"
    """Open to everybody: says nothing about DAGs or runs."""
    DAG_CALL = "dag:call"
    DAG_READ = "dag:read"
    DAG_EDIT = "dag:edit"
    RUN_READ = "run:read"
    RUN_CANCEL = "run:cancel"
    RUN_DELETE = "run:delete"
    TASK_READ = "task:read"
    TASK_EDIT = "task:edit"
    """Note something on a task instance (Airflow's PUT on `DagAccessEntity.TASK_INSTANCE`)."""
    XCOM_READ = "xcom:read"
    LOG_READ = "log:read"
    POOL_READ = "pool:read"
    POOL_EDIT = "pool:edit"
    INPUT_READ = "input:read"
    INPUT_ANSWER = "input:answer"
    """Answer what a task asks of a person (Airflow's `DagAccessEntity.HITL_DETAIL`)."""
    IMPORT_ERROR_READ = "import-error:read"
    VARIABLE_READ = "variable:read"
    VARIABLE_EDIT = "variable:edit"
    CONNECTION_READ = "connection:read"
    CONNECTION_EDIT = "connection:edit"
    METRICS_READ = "metrics:read"
    ASSET_READ = "asset:read"
    ASSET_EDIT = "asset:edit"


@dataclass(frozen=True)
class Caller:
    """Whom a request is from. `name` is empty where nobody is asked for credentials."""

    name: str = ""


class Policy(Protocol):
    async def check(self, permission: Permission, request: Request) -> Caller:
        """The caller, who may do this. The DAG concerned, if any, is in `request.path_params`.

        Raises NotAuthenticated, NotAllowed.
        """
        ...


class AllowAll:
    """Everybody may do everything: for servers that only their own machine can reach."""

    _nobody = Caller()

    async def check(self, permission: Permission, request: Request) -> Caller:
        return self._nobody
