"""Topic `identity`: who a token is, and what Airflow's auth manager lets that user do.

The auth manager is the deployment's own, initialised as Airflow's API server does it; validation of tokens, revoked ones
included, and every decision are its. Nothing is cached here. What is asked for is plain data: a need is
`[kind, method, entity, id]`, such as `["dag", "POST", "RUN", "my_dag"]`; an id of None asks for the kind as a whole.

Refuses, in kinds that the server knows: `expired`, `invalid` (a token that is none, is forged, revoked or another
issuer's). When the metadata database cannot be read nothing is decided: `NotNow`.
"""

import asyncio
import importlib.util
import logging
import sys
import threading
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

from dagcall.airflow_bridge.topics import NotNow, Refused, question

log = logging.getLogger("dagcall.airflow.identity")

VALIDATION_LIMIT = 20.0
MOST_OF_AN_ANSWER = 16 << 20
"""Bytes of an answer of the auth manager's own pages."""

Need = list[Any]

_manager: Any = None
_app: Any = None
_has_teams = False
_loop: asyncio.AbstractEventLoop | None = None
"""Where tokens are validated: what a manager keeps between validations, such as its connections, belongs to one loop,
and waiting for the database must hold up nothing else."""


def begin() -> None:
    """Initialise the auth manager, with the pages and the API that it has of its own."""
    global _manager, _app, _has_teams, _loop
    from airflow.api_fastapi.app import init_auth_manager
    from airflow.configuration import conf
    from fastapi import FastAPI

    app = FastAPI(openapi_url=None, docs_url=None, redoc_url=None)
    app.include_router(_airflows_routes().auth_router, prefix="/api/v2")
    _manager, _app = init_auth_manager(app), app
    _has_teams = conf.getboolean("core", "multi_team")
    if _loop is None:
        _loop = asyncio.new_event_loop()
        threading.Thread(target=_loop.run_forever, name="token-validation", daemon=True).start()


def _airflows_routes() -> Any:
    """Airflow's module of `/auth/login` and `/auth/logout`, without its package: that is all of Airflow's API, 2 s."""
    import airflow.api_fastapi.core_api

    path = Path(airflow.api_fastapi.core_api.__file__).parent / "routes" / "public" / "auth.py"
    spec = importlib.util.spec_from_file_location("dagcall_airflows_auth_routes", path)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules[spec.name] = module  # where its annotations are looked up
    spec.loader.exec_module(module)
    return module


@question
def ready() -> bool:
    """Answered once the auth manager can be asked."""
    return True


@question
def decide(token: str, needs: list[Need]) -> dict[str, Any]:
    """Whose token it is, until when, and which of the needs are met. Nothing about needs of a token that is none."""
    user, expires_at = _user(token)
    return {
        "id": str(user.get_id()),
        "name": str(user.get_name()),
        "expires_at": expires_at,
        "allowed": [_deciding(partial(_is_allowed, user, *need)) for need in needs],
    }


@question
def choose(token: str, kind: str, names: list[str]) -> list[str]:
    """Those of the names (`kind`: dag, pool, connection, variable) that the user may see in lists."""
    user, _ = _user(token)
    choose_from = {
        "dag": (_manager.filter_authorized_dag_ids, "dag_ids"),
        "pool": (_manager.filter_authorized_pools, "pool_names"),
        "connection": (_manager.filter_authorized_connections, "conn_ids"),
        "variable": (_manager.filter_authorized_variables, "variable_keys"),
    }
    method, argument = choose_from[kind]
    by_team: dict[str | None, set[str]] = {}
    for name in names:
        by_team.setdefault(_team(kind, name), set()).add(name)
    found: set[str] = set()
    for team, of_team in by_team.items():
        asked: dict[str, Any] = {argument: of_team, "user": user, "method": "GET", "team_name": team}
        found |= _deciding(partial(method, **asked))
    return sorted(found)


@question
def may_answer(token: str, assigned: list[str]) -> bool:
    """Whether the user is a respondent of a task that asks these."""
    user, _ = _user(token)
    return bool(_deciding(lambda: _manager.is_authorized_hitl_task(assigned_users=set(assigned), user=user)))


@question
async def http(
    method: str, path: str, query: bytes, headers: list[list[bytes]], body: bytes, client: list[Any]
) -> dict[str, Any]:
    """What the auth manager answers to a request below `/auth`, or Airflow to `/api/v2/auth`."""
    import httpx

    transport = httpx.ASGITransport(app=_app, raise_app_exceptions=False, client=(client[0], client[1]))
    async with httpx.AsyncClient(transport=transport) as http:
        host = next((value for name, value in headers if name == b"host"), b"localhost")
        url = httpx.URL(scheme="http", netloc=host, raw_path=path.encode() + (b"?" + query if query else b""))
        answer = await http.send(http.build_request(method, url, headers=[(n, v) for n, v in headers], content=body))
    if len(answer.content) > MOST_OF_AN_ANSWER:
        raise NotNow("answered more than can be passed on")
    return {"status": answer.status_code, "headers": answer.headers.raw, "body": answer.content}


def _user(token: str) -> tuple[Any, float]:
    import jwt

    assert _loop is not None
    validating = asyncio.run_coroutine_threadsafe(_manager.get_user_from_token(token), _loop)
    try:
        user = _deciding(lambda: validating.result(VALIDATION_LIMIT))
        claims = jwt.decode(token, options={"verify_signature": False})  # it was verified
        return user, float(claims["exp"])
    except jwt.ExpiredSignatureError:
        raise Refused("expired", "Token Expired") from None
    except jwt.PyJWTError:
        raise Refused("invalid", "Invalid JWT token") from None
    except TimeoutError:
        validating.cancel()
        raise NotNow("could not validate the token in time") from None
    except (ValueError, TypeError, LookupError, AttributeError) as error:
        # A text that breaks the libraries that read it is no token.
        log.warning("a token could not be read: %s", type(error).__name__)
        raise Refused("invalid", "Invalid JWT token") from None


def _deciding(decision: Callable[[], Any]) -> Any:
    from sqlalchemy.exc import SQLAlchemyError

    try:
        return decision()
    except SQLAlchemyError as error:
        log.error("Airflow's metadata database cannot be used: %s", type(error).__name__, exc_info=error)
        raise NotNow("cannot use Airflow's metadata database") from None


def _is_allowed(user: Any, kind: str, method: str, entity: str | None, name: str | None) -> bool:
    from airflow.api_fastapi.auth.managers.models import resource_details as details

    team = None if name is None else _team(kind, name)
    match kind:
        case "dag":
            return bool(
                _manager.is_authorized_dag(
                    method=method,
                    access_entity=None if entity is None else details.DagAccessEntity[entity],
                    details=details.DagDetails(id=name, team_name=team),
                    user=user,
                )
            )
        case "pool":
            about = details.PoolDetails(name=name, team_name=team)
            return bool(_manager.is_authorized_pool(method=method, details=about, user=user))
        case "connection":
            of = details.ConnectionDetails(conn_id=name, team_name=team)
            return bool(_manager.is_authorized_connection(method=method, details=of, user=user))
        case "variable":
            key = details.VariableDetails(key=name, team_name=team)
            return bool(_manager.is_authorized_variable(method=method, details=key, user=user))
        case "asset":
            return bool(_manager.is_authorized_asset(method=method, details=details.AssetDetails(id=name), user=user))
        case "asset_alias":
            alias = details.AssetAliasDetails(id=name)
            return bool(_manager.is_authorized_asset_alias(method=method, details=alias, user=user))
        case "configuration":
            section = details.ConfigurationDetails(section=name)
            return bool(_manager.is_authorized_configuration(method=method, details=section, user=user))
        case "view":
            assert entity is not None
            return bool(_manager.is_authorized_view(access_view=details.AccessView[entity], user=user))
    raise ValueError(kind)


def _team(kind: str, name: str) -> str | None:
    if not _has_teams:
        return None
    from airflow.models import Connection, DagModel, Pool, Variable

    of: dict[str, Callable[[str], str | None]] = {
        "dag": DagModel.get_team_name,
        "pool": Pool.get_team_name,
        "connection": Connection.get_team_name,
        "variable": Variable.get_team_name,
    }
    return _deciding(lambda: of[kind](name)) if kind in of else None
