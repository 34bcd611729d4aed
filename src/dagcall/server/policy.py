"""Who may do what. Every route declares one permission (`routes`); a policy answers it for each request."""

import hashlib
from collections.abc import Collection
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Literal, Protocol

from starlette.requests import Request
from starlette.responses import Response

Kind = Literal["dag", "pool", "connection", "variable"]
"""Of what lists show only what their reader may see."""


class Permission(StrEnum):
    """What a route lets its caller do. Named noun:verb; what each asks of Airflow's auth managers is in `needs`."""

    NONE = "none"
    """Open to everybody: says nothing about DAGs or runs."""
    DAG_CALL = "dag:call"
    """Start a run and read its result."""
    DAG_TRIGGER = "dag:trigger"
    DAG_READ = "dag:read"
    DAG_EDIT = "dag:edit"
    TASK_READ = "task:read"
    """A DAG's tasks."""
    RUN_READ = "run:read"
    RESULT_READ = "result:read"
    """A run, and the values that its tasks returned."""
    RUN_CANCEL = "run:cancel"
    RUN_DELETE = "run:delete"
    INSTANCE_READ = "task-instance:read"
    INSTANCE_EDIT = "task-instance:edit"
    XCOM_READ = "xcom:read"
    LOG_READ = "log:read"
    POOL_READ = "pool:read"
    POOL_EDIT = "pool:edit"
    INPUT_READ = "input:read"
    INPUT_ANSWER = "input:answer"
    """Answer what a task asks of a person."""
    IMPORT_ERROR_READ = "import-error:read"
    VARIABLE_READ = "variable:read"
    VARIABLE_EDIT = "variable:edit"
    CONNECTION_READ = "connection:read"
    CONNECTION_EDIT = "connection:edit"
    ASSET_READ = "asset:read"
    ASSET_EDIT = "asset:edit"
    ASSET_ALIAS_READ = "asset-alias:read"
    ASSET_EVENT_READ = "asset-event:read"
    ASSET_QUEUE_READ = "asset-queue:read"
    ASSET_QUEUE_EDIT = "asset-queue:edit"
    RUN_ASSET_EVENT_READ = "run-asset-event:read"
    METRICS_READ = "metrics:read"


@dataclass(frozen=True)
class Caller:
    """Whom a request is from. `name` is empty where nobody is asked for credentials.

    `name`: as it is shown, and whose share of the server a call counts against. `id`: nobody else has it.
    """

    name: str = ""
    id: str = ""
    credential: str = field(default="", repr=False)
    """What the policy knows the caller by, for further questions; it never leaves the server."""

    def scoped(self, key: str | None) -> str | None:
        """An idempotency key of this caller's: it meets no other caller's, whatever names or keys these have."""
        if key is None or not self.id:
            return key
        return f"{hashlib.sha256(self.id.encode()).hexdigest()[:32]}|{key}"


class Policy(Protocol):
    @property
    def trouble(self) -> str | None:
        """Why nobody could be let in now, in words; None: all is well, as far as is known."""
        ...

    def begin(self) -> None:
        """Be ready when the first request comes."""

    @property
    def is_open(self) -> bool:
        """Everybody may do and see everything."""
        ...

    async def check(self, permission: Permission, request: Request) -> Caller:
        """The caller, who may do this. The DAG concerned, if any, is in `request.path_params`.

        Raises NotAuthenticated, NotAllowed; below `/api/v2` AirflowError with Airflow's status; BadRequest for more than
        one Authorization header; Unavailable.
        """
        ...

    async def may(self, caller: Caller, permission: Permission, dag_id: str) -> bool:
        """Whether a caller that was checked may do something else, too. Raises like `check`."""
        ...

    async def choose(self, caller: Caller, kind: Kind, names: Collection[str]) -> frozenset[str]:
        """Those that the caller sees in lists. Raises like `check`."""
        ...

    async def may_answer(self, caller: Caller, assigned: Collection[str]) -> bool:
        """Whether the caller is a respondent of a task that asks the users with these ids."""
        ...

    async def login(self, request: Request) -> Response | None:
        """The answer of who keeps users and passwords to a request below `/auth`; None: nobody does."""
        ...


class AllowAll:
    """Everybody may do everything: for servers that only their own machine can reach."""

    is_open = True
    trouble = None
    _nobody = Caller()

    def begin(self) -> None:
        pass

    async def check(self, permission: Permission, request: Request) -> Caller:
        return self._nobody

    async def may(self, caller: Caller, permission: Permission, dag_id: str) -> bool:
        return True

    async def choose(self, caller: Caller, kind: Kind, names: Collection[str]) -> frozenset[str]:
        return frozenset(names)

    async def may_answer(self, caller: Caller, assigned: Collection[str]) -> bool:
        return True  # as with stock's `[core] simple_auth_manager_all_admins`

    async def login(self, request: Request) -> Response | None:
        return None
