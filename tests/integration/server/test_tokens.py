"""API tokens: their file, and what a server lets each of them do and see."""

import json
import os
import stat
import threading
import time
from collections.abc import AsyncIterator
from pathlib import Path

import httpx
import pytest

from dagcall.errors import ConfigError
from dagcall.server.app import create_app
from dagcall.server.audit import Audit
from dagcall.server.settings import ServerSettings
from dagcall.server.token_policy import TokenPolicy
from dagcall.tokens import PREFIX, ApiToken, TokenFile, digest

from ...unit.server.conftest import coordinator  # noqa: F401  the fixture, with its DAGs
from ...unit.server.scripted import ScriptedCoordinator

pytestmark = pytest.mark.anyio


@pytest.fixture
def file(tmp_path: Path) -> TokenFile:
    return TokenFile(tmp_path / "dagcall" / "tokens.json")


@pytest.fixture
async def http(
    coordinator: ScriptedCoordinator,  # noqa: F811
    file: TokenFile,
) -> AsyncIterator[httpx.AsyncClient]:
    app = create_app(coordinator, ServerSettings(), TokenPolicy(file), Audit("none"))
    async with httpx.AsyncClient(transport=httpx.ASGITransport(app), base_url="http://localhost") as client:
        yield client


def bearer(secret: str) -> dict[str, str]:
    return {"Authorization": f"Bearer {secret}"}


def test_the_file_has_no_secret_and_is_nobody_elses(file: TokenFile) -> None:
    secret = file.create(ApiToken("shop", "", call=("order_*",), expires=1.5))
    assert secret.startswith(PREFIX)
    assert len(secret) == len(PREFIX) + 43  # 256 bits
    text = file.path.read_text()
    assert secret not in text
    assert secret.removeprefix(PREFIX) not in text
    assert stat.S_IMODE(file.path.stat().st_mode) == 0o600
    assert file.read() == [ApiToken("shop", digest(secret), call=("order_*",), expires=1.5)]


def test_a_name_is_one_tokens(file: TokenFile) -> None:
    first = file.create(ApiToken("shop", "", admin=True))
    with pytest.raises(ConfigError, match="already"):
        file.create(ApiToken("shop", "", admin=True))
    for wrong in ("", "a b", "a/b", "x" * 101, "naïve", "a\n"):
        with pytest.raises(ConfigError, match="a token's name"):
            file.create(ApiToken(wrong, ""))
    assert file.revoke("shop")
    assert not file.revoke("shop")
    assert file.create(ApiToken("shop", "", admin=True)) != first


def test_changes_at_the_same_moment_are_all_kept(file: TokenFile) -> None:
    threads = [threading.Thread(target=file.create, args=(ApiToken(f"t{n}", ""),)) for n in range(20)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert {one.name for one in file.read()} == {f"t{n}" for n in range(20)}


@pytest.mark.parametrize(
    "text",
    ["", "{", "[]", '{"tokens": 1}', '{"tokens": [{}]}', '{"tokens": [{"name": "a", "sha256": "x"}]}', "\xff"]
    + [
        json.dumps({"tokens": [{"name": "a", "sha256": "0" * 64, **more}]})
        for more in ({"call": [1]}, {"expires": "x"})
    ],
)
async def test_a_broken_file_lets_nobody_in(http: httpx.AsyncClient, file: TokenFile, text: str) -> None:
    secret = file.create(ApiToken("shop", "", admin=True))
    assert (await http.get("/call", headers=bearer(secret))).status_code == 200
    file.path.with_suffix(".new").write_text(text, encoding="latin-1")
    file.path.with_suffix(".new").chmod(0o600)
    file.path.with_suffix(".new").replace(file.path)
    with pytest.raises(ConfigError, match="cannot be read"):
        file.read()
    assert (await http.get("/call", headers=bearer(secret))).status_code == 503


async def test_a_file_that_others_may_write_lets_nobody_in(http: httpx.AsyncClient, file: TokenFile) -> None:
    secret = file.create(ApiToken("shop", "", admin=True))
    file.path.chmod(0o666)
    assert (await http.get("/call", headers=bearer(secret))).status_code == 503
    file.path.chmod(0o600)
    assert (await http.get("/call", headers=bearer(secret))).status_code == 200


async def test_no_token_is_let_in_before_it_is_made_and_after_it_was_revoked(
    http: httpx.AsyncClient, file: TokenFile
) -> None:
    assert (await http.get("/call")).status_code == 401
    assert (await http.get("/call", headers=bearer(PREFIX + "x" * 43))).status_code == 401
    secret = file.create(ApiToken("shop", "", read=("*",)))
    assert (await http.get("/call", headers=bearer(secret))).status_code == 200
    for wrong in (secret[:-1], secret + "x", secret.removeprefix(PREFIX), secret.upper(), digest(secret)):
        assert (await http.get("/call", headers=bearer(wrong))).status_code == 401
    assert (await http.get("/call", headers={"Cookie": f"_token={secret}"})).status_code == 401
    file.revoke("shop")
    answer = await http.get("/call", headers=bearer(secret))
    assert (answer.status_code, answer.headers["www-authenticate"]) == (401, "Bearer")
    os.unlink(file.path)
    assert (await http.get("/call", headers=bearer(secret))).status_code == 401


async def test_a_token_ends(http: httpx.AsyncClient, file: TokenFile) -> None:
    expired = file.create(ApiToken("old", "", admin=True, expires=time.time() - 1))
    valid = file.create(ApiToken("new", "", admin=True, expires=time.time() + 3600))
    assert "expired" in (await http.get("/call", headers=bearer(expired))).json()["detail"]
    assert (await http.get("/call", headers=bearer(valid))).status_code == 200


async def test_a_scope_is_about_dags(
    http: httpx.AsyncClient,
    file: TokenFile,
    coordinator: ScriptedCoordinator,  # noqa: F811
) -> None:
    calls = bearer(file.create(ApiToken("calls", "", call=("simp*",))))
    reads = bearer(file.create(ApiToken("reads", "", read=("simple",))))
    other = bearer(file.create(ApiToken("other", "", call=("else",), read=("else",))))
    scrapes = bearer(file.create(ApiToken("scrapes", "", metrics=True)))

    assert (await http.post("/call/simple", headers=calls)).status_code != 403
    assert coordinator.requests[0].caller == "calls"
    for headers in (reads, other, scrapes):
        refused = await http.post("/call/simple", headers=headers)
        assert refused.status_code == 403
        assert "'simple'" in refused.json()["detail"]
        assert "dag:call" in refused.json()["detail"]
    assert (await http.get("/call/simple", headers=calls)).status_code == 200
    assert (await http.get("/call/simple", headers=reads)).status_code == 200
    assert (await http.get("/call/simple", headers=other)).status_code == 403

    for headers, expected in ((calls, ["simple"]), (reads, ["simple"]), (other, [])):
        for path in ("/call", "/api/v2/dags"):
            shown = (await http.get(path, headers=headers)).json()
            assert sorted(one["dag_id"] for one in shown["dags"]) == expected
            assert shown["total_entries"] == len(expected)
    for path in ("/api/v2/pools", "/api/v2/variables", "/api/v2/connections", "/api/v2/assets", "/api/v2/importErrors"):
        for headers in (calls, reads, other, scrapes):
            assert (await http.get(path, headers=headers)).status_code == 403
    assert (await http.get("/metrics", headers=scrapes)).status_code == 200
    assert (await http.get("/metrics", headers=calls)).status_code == 403
    assert (await http.get("/call", headers=scrapes)).status_code == 403
    assert (await http.post("/auth/token", json={}, headers=calls)).status_code == 404
