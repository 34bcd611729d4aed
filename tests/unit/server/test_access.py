"""Which addresses a server may listen on, and by which names it may be addressed."""

from pathlib import Path

import pytest

from dagcall.errors import ConfigError
from dagcall.options import Launch
from dagcall.server.access import Access
from dagcall.server.guard import Guard
from dagcall.server.settings import ServerSettings


@pytest.mark.parametrize("host", ["0.0.0.0", "::", "192.168.1.7", "example.org", "10.0.0.1"])
def test_what_others_reach_is_served_only_where_credentials_are_asked_for(host: str) -> None:
    with pytest.raises(ConfigError, match=r"only loopback addresses are served while \[dagcall\] auth is none"):
        Access("none").check_address(host)
    for auth in ("airflow", "token"):
        Access(auth).check_address(host)


@pytest.mark.parametrize("host", ["127.0.0.1", "::1", "localhost", "127.8.9.10"])
def test_loopback_is_always_served(host: str) -> None:
    for auth in ("none", "airflow", "token"):
        Access(auth).check_address(host)


def test_names_come_from_the_options() -> None:
    access = Access.of(
        Launch(auth="token", allowed_hosts="a.example, b.example", url="https://c.example/x"), Path("/home")
    )
    assert set(access.hosts()) >= {"a.example", "b.example", "c.example"}
    assert access.tokens == Path("/home/dagcall/tokens.json")
    assert Access.of(Launch(), Path("/home")).hosts() == ()


@pytest.mark.parametrize(
    ("host", "with_credentials", "is_let_in"),
    [
        (b"192.168.1.7:8274", True, True),
        (b"192.168.1.7:8274", False, False),
        (b"[2001:db8::1]:8274", True, True),
        (b"evil.example", True, False),
        (b"a.example:8274", True, True),
        (b"1.2.3.4.evil.example", True, False),
        (b"192.168.1.7@evil.example", True, False),
    ],
)
@pytest.mark.anyio
async def test_addresses_are_names_of_who_asks_for_credentials(
    host: bytes, with_credentials: bool, is_let_in: bool
) -> None:
    reached, sent = [], []

    async def app(scope, receive, send) -> None:
        reached.append(scope)

    async def send(message) -> None:
        sent.append(message)

    guard = Guard(app, ServerSettings(host="0.0.0.0", allowed_hosts=("a.example",), any_address=with_credentials))
    scope = {"type": "http", "method": "GET", "path": "/call", "query_string": b"", "headers": [(b"host", host)]}
    await guard(scope, None, send)
    assert bool(reached) == is_let_in
    assert is_let_in or sent[0]["status"] == 421
