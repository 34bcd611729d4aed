"""How both clients reach a server: address, token, httpx settings, and what httpx's errors mean."""

import json
import os
import platform
from collections.abc import Mapping
from dataclasses import dataclass
from ipaddress import ip_address

import httpx

from dagcall.client._wire import Broken, Request, Response
from dagcall.errors import UsageError
from dagcall.version import __version__

DEFAULT_URL = "http://127.0.0.1:8274"
CONNECT_TIMEOUT = 5.0


@dataclass(frozen=True)
class Address:
    """Where the server is and as whom to speak to it."""

    url: httpx.URL
    token: str | None

    @classmethod
    def of(cls, url: str | None, token: str | None) -> "Address":
        """From arguments, else `DAGCALL_URL` and `DAGCALL_TOKEN`, else the default address without a token."""
        text = url or os.environ.get("DAGCALL_URL") or DEFAULT_URL
        try:
            parsed = httpx.URL(text)
        except httpx.InvalidURL as error:
            raise UsageError(f"{text!r} is not a URL: {error}") from None
        if parsed.scheme not in ("http", "https") or not parsed.host:
            raise UsageError(f"{text!r} is not a server's address; it looks like {DEFAULT_URL}")
        return cls(parsed, token or os.environ.get("DAGCALL_TOKEN") or None)

    @property
    def is_loopback(self) -> bool:
        try:
            return ip_address(self.url.host).is_loopback
        except ValueError:
            return self.url.host == "localhost"

    def of_path(self, path: str) -> str:
        """The whole address of something on the server, without credentials."""
        return f"{str(self.url.copy_with(userinfo=b'')).rstrip('/')}{path}"

    @property
    def headers(self) -> dict[str, str]:
        headers = {"user-agent": f"dagcall/{__version__} python/{platform.python_version()}"}
        if self.token:
            headers["authorization"] = f"Bearer {self.token}"
        return headers

    @property
    def trust_env(self) -> bool:
        """Whether proxy settings of the environment apply: never to this machine itself."""
        return not self.is_loopback

    def broken(self, error: httpx.TransportError, at: float) -> Broken:
        """What a failure to get an answer means."""
        sent = not isinstance(error, httpx.ConnectError | httpx.ConnectTimeout | httpx.UnsupportedProtocol)
        return Broken(sent, f"No answer from {self.url}: {str(error) or type(error).__name__}", at)


def timeout_of(request: Request) -> httpx.Timeout:
    return httpx.Timeout(request.read_timeout, connect=CONNECT_TIMEOUT, pool=None)


def response_of(response: httpx.Response, at: float, *, with_content: bool = True) -> Response:
    content = response.content if with_content else b""
    return Response(response.status_code, {k.lower(): v for k, v in response.headers.items()}, content, at)


def encode_params(params: Mapping[str, object] | None, keywords: Mapping[str, object]) -> bytes:
    """The body of a call. Either a mapping or keywords."""
    if params is not None and keywords:
        raise UsageError("give the params either as one mapping or as keywords, not both")
    given = keywords if params is None else params
    if not isinstance(given, Mapping):
        raise UsageError(f"the params are a mapping of names to values, not {type(given).__name__}")
    try:
        return json.dumps(dict(given), allow_nan=False).encode()
    except (TypeError, ValueError) as error:
        raise UsageError(f"the params cannot be sent as JSON: {error}") from None
