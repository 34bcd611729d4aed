"""The policy of `auth = airflow`: Airflow's auth manager decides, in the Airflow-side process.

Guarantees: nothing is allowed that the auth manager did not allow for this token, at most `[dagcall] auth_cache` seconds
ago, and before the token expired. When it cannot be asked the answer is 503, never a yes. Tokens are known here by their
SHA-256 only.
"""

import asyncio
import hashlib
import time
from collections import OrderedDict
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field
from typing import TypeVar

import msgspec
from starlette.requests import Request
from starlette.responses import Response

from dagcall.errors import NotAuthenticated, Unavailable
from dagcall.server.credentials import InvalidToken, invalid_token, token_of
from dagcall.server.needs import Need, needs_of, needs_of_dag
from dagcall.server.policy import Caller, Kind, Permission
from dagcall.server.refusing import not_allowed
from dagcall.server.requests import read_body
from dagcall.workers.base import AirflowRefused, AirflowSide

T = TypeVar("T")

TOPIC = "identity"
READY_LIMIT = 60.0
REMEMBERED = 2000
"""Tokens of which decisions are remembered."""
DECISIONS = 5000
"""Of one token."""
LARGEST_LOGIN = 64 * 1024
"""Bytes of a request to the auth manager's pages."""
_OWN_HEADERS = (b"content-length", b"content-encoding", b"transfer-encoding", b"connection", b"server", b"date")


class Decided(msgspec.Struct):
    id: str
    name: str
    expires_at: float
    allowed: list[bool]


class _Page(msgspec.Struct):
    status: int
    headers: list[tuple[bytes, bytes]]
    body: bytes


@dataclass
class _Known:
    """What was decided for a token, each with the time (monotonic) until which it holds."""

    caller: Caller
    expires_at: float
    until: float
    needs: dict[Need, tuple[float, bool]] = field(default_factory=dict)
    chosen: dict[tuple[Kind, frozenset[str]], tuple[float, frozenset[str]]] = field(default_factory=dict)


class AirflowPolicy:
    """Implements `policy.Policy`."""

    is_open = False

    def __init__(self, airflow: AirflowSide, cache_seconds: float) -> None:
        self._airflow = airflow
        self._cache_seconds = cache_seconds
        self._known: OrderedDict[bytes, _Known] = OrderedDict()
        self._beginning: asyncio.Task[None] | None = None

    def begin(self) -> None:
        """Have the auth manager ready when the first request comes."""
        self._airflow.use(TOPIC)
        self._beginning = asyncio.get_running_loop().create_task(self._wait_until_ready(), name="dagcall-identity")

    @property
    def trouble(self) -> str | None:
        if self._beginning is not None and self._beginning.done():
            return self._airflow.trouble
        return "Airflow's auth manager is not ready yet"

    async def _wait_until_ready(self) -> None:
        while True:
            try:
                await self._airflow.ask(f"{TOPIC}.ready", {}, bool, limit=READY_LIMIT)
                return
            except Unavailable:
                await asyncio.sleep(1.0)

    async def check(self, permission: Permission, request: Request) -> Caller:
        if permission is Permission.NONE:
            return Caller()
        try:
            token = token_of(request, cookie=True)
            needs = needs_of(permission, request.method, request.path_params)
            known, unmet = await self._decide(token, needs)
        except InvalidToken as refusal:
            raise invalid_token(str(refusal), request) from None
        if unmet:
            raise not_allowed(f"User {known.caller.name!r}", permission, unmet[0], request)
        return known.caller

    async def may(self, caller: Caller, permission: Permission, dag_id: str) -> bool:
        _, unmet = await self._decide(caller.credential, needs_of_dag(permission, dag_id))
        return not unmet

    async def may_answer(self, caller: Caller, assigned: Collection[str]) -> bool:
        args = {"token": caller.credential, "assigned": sorted(assigned)}
        return await self._ask("may_answer", args, bool)

    async def choose(self, caller: Caller, kind: Kind, names: Collection[str]) -> frozenset[str]:
        wanted = frozenset(names)
        known = self._remembered(caller.credential)
        now = asyncio.get_running_loop().time()
        if known is not None:
            until, chosen = known.chosen.get((kind, wanted), (0.0, frozenset[str]()))
            if until > now:
                return chosen
        args = {"token": caller.credential, "kind": kind, "names": sorted(wanted)}
        found = frozenset(await self._ask("choose", args, list[str]))
        if known is not None:
            if len(known.chosen) >= 20:
                known.chosen.clear()
            known.chosen[kind, wanted] = (now + self._cache_seconds, found)
        return found

    async def login(self, request: Request) -> Response | None:
        """Passed on as it is. What was decided is decided anew: somebody may have logged out."""
        scope = request.scope
        args = {
            "method": request.method,
            "path": scope["raw_path"].decode("latin-1").partition("?")[0],
            "query": scope["query_string"],
            "headers": [list(one) for one in scope["headers"]],
            "body": await read_body(request, LARGEST_LOGIN),
            "client": list(scope.get("client") or ("", 0)),
        }
        answer = await self._airflow.ask(f"{TOPIC}.http", args, _Page, again=False)
        self._known.clear()
        response = Response(answer.body, answer.status)
        response.raw_headers = [(name, value) for name, value in answer.headers if name.lower() not in _OWN_HEADERS]
        response.headers["content-length"] = str(len(answer.body))
        return response

    async def _decide(self, token: str, needs: Sequence[Need]) -> tuple[_Known, list[Need]]:
        """Raises NotAuthenticated, InvalidToken, Unavailable."""
        now = asyncio.get_running_loop().time()
        known = self._remembered(token)
        if known is None or known.until <= now or any(known.needs.get(one, (0.0, False))[0] <= now for one in needs):
            known = await self._decide_anew(token, needs, now)
        return known, [one for one in needs if not known.needs[one][1]]

    async def _decide_anew(self, token: str, needs: Sequence[Need], now: float) -> _Known:
        decided = await self._ask("decide", {"token": token, "needs": [list(one) for one in needs]}, Decided)
        until = now + self._cache_seconds
        known = self._remembered(token)
        if known is None or known.caller.id != decided.id or len(known.needs) > DECISIONS:
            known = _Known(Caller(decided.name, decided.id, token), decided.expires_at, until)
            self._known[_digest(token)] = known
            if len(self._known) > REMEMBERED:
                self._known.popitem(last=False)
        known.until = until
        for need, allowed in zip(needs, decided.allowed, strict=True):
            known.needs[need] = (until, allowed)
        return known

    def _remembered(self, token: str) -> _Known | None:
        """Nothing of a token that has expired, whatever the caches hold."""
        digest = _digest(token)
        known = self._known.get(digest)
        if known is None:
            return None
        if known.expires_at <= time.time():
            del self._known[digest]
            return None
        self._known.move_to_end(digest)
        return known

    async def _ask(self, what: str, args: Mapping[str, object], answer: type[T]) -> T:
        try:
            return await self._airflow.ask(f"{TOPIC}.{what}", args, answer)
        except AirflowRefused as refusal:
            if refusal.kind == "expired":
                raise NotAuthenticated("Token Expired") from None
            raise InvalidToken("Invalid JWT token") from None


def _digest(token: str) -> bytes:
    return hashlib.sha256(token.encode()).digest()
