"""The sentence that a refused caller is told: who, what, which permission it takes."""

from starlette.requests import Request

from dagcall.errors import NotAllowed
from dagcall.server.needs import Need
from dagcall.server.policy import Permission


def not_allowed(who: str, permission: Permission, unmet: Need, request: Request) -> NotAllowed:
    """`who`: such as `User 'ada'`. `unmet`: a need of the permission that is not met."""
    dag_id = request.path_params.get("dag_id")
    about = ""
    if dag_id is not None:
        about = f" with DAG {dag_id!r}"
    elif unmet.id is not None:
        about = f" with {unmet.kind.replace('_', ' ')} {unmet.id!r}"
    return NotAllowed(f"{who} may not do this{about}: it takes the permission {permission.value}.", dag_id=dag_id)
