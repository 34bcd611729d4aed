"""The policy of `auth = token`: API tokens of a file (`dagcall.tokens`), which is read again when it has changed.

A scope is about DAGs: `read` lets see a DAG, its runs, results and logs; `call` also call it, cancel its runs and answer
what its tasks ask. Everything else (pools, Variables, Connections, assets, deleting runs) takes `admin`; `/metrics` takes
`metrics`. A file that cannot be read lets nobody in.
"""

import logging
import os
import time
from collections.abc import Collection

from starlette.requests import Request
from starlette.responses import Response

from dagcall.errors import ConfigError, NotFound, Unavailable
from dagcall.server.credentials import InvalidToken, invalid_token, token_of
from dagcall.server.needs import Need, needs_of, needs_of_dag
from dagcall.server.policy import Caller, Kind, Permission
from dagcall.server.refusing import not_allowed
from dagcall.tokens import ApiToken, TokenFile, digest

log = logging.getLogger("dagcall.server")

_CALLING = {("POST", "RUN"), ("PUT", "RUN"), ("PUT", "HITL_DETAIL")}

_Mark = tuple[int, int, int]


class TokenPolicy:
    """Implements `policy.Policy`."""

    is_open = False

    def __init__(self, file: TokenFile) -> None:
        self._file = file
        self._mark: _Mark | None = None
        self._by_digest: dict[str, ApiToken] = {}
        self._broken = False

    @property
    def trouble(self) -> str | None:
        return "the file of tokens cannot be read" if self._broken else None

    def begin(self) -> None:
        self._refresh()
        if not self._by_digest and not self._broken:
            log.warning("there is no token in %s yet: nobody is let in (dagcall token create)", self._file.path)

    async def check(self, permission: Permission, request: Request) -> Caller:
        if permission is Permission.NONE:
            return Caller()
        try:
            sha256 = digest(token_of(request))
            token = self._token(sha256)
        except InvalidToken as refusal:
            raise invalid_token(str(refusal), request) from None
        for need in needs_of(permission, request.method, request.path_params):
            if not _allows(token, need):
                raise not_allowed(f"Token {token.name!r}", permission, need, request)
        return Caller(token.name, token.name, sha256)

    async def may(self, caller: Caller, permission: Permission, dag_id: str) -> bool:
        token = self._by_digest.get(caller.credential)
        return token is not None and all(_allows(token, need) for need in needs_of_dag(permission, dag_id))

    async def may_answer(self, caller: Caller, assigned: Collection[str]) -> bool:
        return caller.id in assigned

    async def choose(self, caller: Caller, kind: Kind, names: Collection[str]) -> frozenset[str]:
        token = self._by_digest.get(caller.credential)
        if token is None:
            return frozenset()
        if kind == "dag":
            return frozenset(name for name in names if token.reads(name))
        return frozenset(names) if token.admin else frozenset()

    async def login(self, request: Request) -> Response | None:
        raise NotFound("Nobody logs in here: tokens of `dagcall token create` are sent as they are.")

    def _token(self, sha256: str) -> ApiToken:
        """Raises InvalidToken, Unavailable."""
        self._refresh()
        if self._broken:
            raise Unavailable("The server's tokens cannot be read; its log tells more.", retry_after=5.0)
        token = self._by_digest.get(sha256)
        if token is None:
            raise InvalidToken("This token is not known here, or was revoked.")
        if token.expires is not None and token.expires <= time.time():
            raise InvalidToken("This token has expired.")
        return token

    def _refresh(self) -> None:
        mark = self._mark_of_file()
        if mark == self._mark and mark is not None:
            return
        self._mark = mark
        try:
            self._by_digest, self._broken = {one.sha256: one for one in self._file.read()}, False
        except ConfigError as error:
            if not self._broken:
                log.error("nobody is let in: %s", error)
            self._by_digest, self._broken = {}, True

    def _mark_of_file(self) -> _Mark | None:
        """The file is only ever replaced. None: there is none, or it cannot be looked at."""
        try:
            status = os.stat(self._file.path)
        except OSError:
            return None
        return status.st_mtime_ns, status.st_ino, status.st_mode


def _allows(token: ApiToken, need: Need) -> bool:
    if token.admin:
        return True
    if need.kind == "view":
        return token.metrics and need.entity == "CLUSTER_ACTIVITY"
    if need.kind != "dag":
        return False
    if need.method == "GET":
        return bool(token.read or token.call) if need.id is None else token.reads(need.id)
    if (need.method, need.entity) in _CALLING and need.id is not None:
        return token.calls(need.id)
    return False
