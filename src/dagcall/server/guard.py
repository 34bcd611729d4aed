"""What stands in front of every route: pure ASGI, a few microseconds.

Refuses what a web page or a rebound name could send to a server on loopback (a foreign `Host` 421, a foreign `Origin`
403, bodies that are not `application/json` 415: the types a form can send without CORS), and bodies that are encoded
(415: a decompression bomb is never unpacked). Turns every error into an answer: a `Problem` is what it says, anything
else is our own fault and a 500 without details, told to the log.
"""

import ipaddress
import logging
import re
from collections.abc import Iterable
from contextlib import suppress

from starlette.requests import ClientDisconnect
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from dagcall.errors import (
    BadRequest,
    ForeignOrigin,
    JournalCorrupt,
    JournalError,
    MethodNotAllowed,
    Misdirected,
    NotFound,
    NotSupported,
    Problem,
    ServerError,
    Unavailable,
    UnsupportedMediaType,
)
from dagcall.server.problems import AirflowError, NoSuchMethod, airflow_response, problem_response
from dagcall.server.settings import ServerSettings

log = logging.getLogger("dagcall.server")

API_V2 = "/api/v2/"

LOGIN = "/auth/"

_FORM = re.compile(rb"(application/x-www-form-urlencoded|multipart/form-data)\s*(;|$)", re.IGNORECASE)
_JSON_TYPE = re.compile(rb"application/json\s*(;|$)", re.IGNORECASE)
_DAMAGED = "What the journal holds of this is damaged, and is not answered; the server's log tells more."
_NO_JOURNAL = (
    "The journal cannot be written or read now; the server's log tells why. Nothing was kept; try again later."
)
_LOOPBACK = ("127.0.0.1", "localhost", "[::1]")


def host_names(settings: ServerSettings) -> frozenset[str]:
    """The names under which this server may be addressed, as they stand in `Host`, without a port."""
    host = settings.host.lower()
    own = f"[{host}]" if ":" in host and not host.startswith("[") else host
    return frozenset((*_LOOPBACK, own, *(name.lower() for name in settings.allowed_hosts)))


class Guard:
    def __init__(self, app: ASGIApp, settings: ServerSettings) -> None:
        self._app = app
        self._names = host_names(settings)
        self._any_address = settings.any_address
        self._login = settings.login
        self._known_hosts: set[bytes] = set()
        """Values of `Host` that passed: looking is quicker than taking apart. Bounded by names x ports."""

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "lifespan":
            await self._app(scope, receive, send)
            return
        if scope["type"] != "http":
            await send({"type": "websocket.close", "code": 1003})
            return
        started = False

        async def watched_send(message: Message) -> None:
            nonlocal started
            started = True
            await send(message)

        try:
            self._inspect(scope)
            await self._app(scope, receive, watched_send)
            return
        except ClientDisconnect:
            return
        except (Problem, AirflowError, NoSuchMethod) as error:
            if started:
                raise
            refusal: Problem | AirflowError | NoSuchMethod = error
        except JournalError as error:
            log.error("%s %s: %s", scope["method"], scope["path"], error)  # its address is no caller's business
            if started:
                raise
            damaged = isinstance(error, JournalCorrupt)
            refusal = ServerError(_DAMAGED) if damaged else Unavailable(_NO_JOURNAL, retry_after=2.0)
        except Exception:
            log.exception("%s %s could not be answered", scope["method"], scope["path"])
            if started:
                raise  # the server closes the connection: the reader must not take a torn answer for a whole one
            refusal = ServerError()
        await _answer(refusal, scope, receive, send)

    def _inspect(self, scope: Scope) -> None:
        """Raises Misdirected, ForeignOrigin, UnsupportedMediaType, BadRequest."""
        if "\0" in scope["path"] or b"%00" in scope["query_string"]:
            raise BadRequest("A path or query with NUL names nothing: no journal stores such a text.")
        host = origin = content_type = encoding = None
        has_body = False
        for name, value in scope["headers"]:
            if name == b"host":
                if host is not None:
                    raise BadRequest("The request has more than one Host header.")
                host = value
            elif name == b"origin":
                origin = value
            elif name == b"content-type":
                content_type = value
            elif name == b"content-length":
                has_body = has_body or value.strip() != b"0"
            elif name == b"transfer-encoding":
                has_body = True
            elif name == b"content-encoding" and value.strip().lower() != b"identity":
                encoding = value
        if host not in self._known_hosts:
            self._check_host(host)
        if origin is not None and not self._is_own(origin, host):
            raise ForeignOrigin()
        if encoding is not None:
            raise UnsupportedMediaType("A request body must not have a Content-Encoding: send it as it is.")
        if has_body and (content_type is None or _JSON_TYPE.match(content_type) is None):
            if (
                self._login
                and scope["path"].startswith(LOGIN)
                and content_type is not None
                and _FORM.match(content_type)
            ):
                return
            raise UnsupportedMediaType(
                "A body needs Content-Type: application/json (with curl: -H 'Content-Type: application/json')."
            )

    def _check_host(self, host: bytes | None) -> None:
        name = None if host is None else _name(host.decode("latin-1"))
        if host is None or name is None or not (name in self._names or (self._any_address and _is_address(name))):
            raise Misdirected()
        if len(self._known_hosts) < 64:
            self._known_hosts.add(host)

    def _is_own(self, origin: bytes, host: bytes | None) -> bool:
        scheme, separator, rest = origin.decode("latin-1").partition("://")
        return (
            bool(separator) and scheme in ("http", "https") and rest.encode("latin-1").lower() == (host or b"").lower()
        )


def _name(host: str) -> str | None:
    """`Host` without its port; None when it is malformed."""
    name, colon, port = host.lower().rpartition(":")
    if not colon or host.endswith("]"):
        return host.lower()
    return name if port.isdecimal() and port.isascii() else None


def _is_address(name: str) -> bool:
    with suppress(ValueError):
        ipaddress.ip_address(name.strip("[]"))
        return True
    return False


async def _answer(error: Problem | AirflowError | NoSuchMethod, scope: Scope, receive: Receive, send: Send) -> None:
    headers: Iterable[tuple[str, str]] = ()
    if isinstance(error, NoSuchMethod):
        headers = (("Allow", error.allow),)
        error = MethodNotAllowed(f"This path has no method {scope['method']}; it has {error.allow}.")
    if isinstance(error, AirflowError) or scope["path"].startswith(API_V2):
        response = airflow_response(error)
    else:
        response = problem_response(error)
    for name, value in headers:
        response.headers[name] = value
    await response(scope, receive, send)


async def not_found(scope: Scope, receive: Receive, send: Send) -> None:
    """Where no route leads."""
    if scope["type"] != "http":
        return
    if scope["path"].startswith(API_V2):
        raise NotSupported(f"dagcall does not support {scope['method']} {scope['path']} of Airflow's API; see /docs.")
    raise NotFound(f"There is nothing at {scope['path']}; see /docs.")
