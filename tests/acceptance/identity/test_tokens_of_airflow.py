"""`auth = airflow`: who a token is taken for, by a real server with Airflow's real auth manager."""

import base64
import json
import sqlite3
import time
from collections.abc import Callable

import httpx
import jwt
import pytest

from ..serving import Server, eventually
from .airflow_users import DATABASE, SECRET, bearer, claims, token

CALL, API = "/call/common", "/api/v2/dags/common"


def _part(document: object) -> str:
    return base64.urlsafe_b64encode(json.dumps(document).encode()).decode().rstrip("=")


def _unsigned(algorithm: str) -> str:
    return f"{_part({'alg': algorithm, 'typ': 'JWT'})}.{_part(claims())}."


def _with_another_payload() -> str:
    head, _, signature = token("vic").split(".")
    return f"{head}.{_part(claims('ada'))}.{signature}"


NOW = int(time.time())
FORGERIES: dict[str, Callable[[], str]] = {
    "alg none": lambda: _unsigned("none"),
    "alg None, spelt to slip through": lambda: _unsigned("nOnE"),
    "alg none, with another's signature": lambda: _unsigned("none") + token().rpartition(".")[2],
    "no alg": lambda: f"{_part({'typ': 'JWT'})}.{_part(claims())}.",
    "another key": lambda: token(key="another-key-" * 8),
    "an empty key": lambda: f"{_part({'alg': 'HS512'})}.{_part(claims())}.{_part('')}",
    "an algorithm that is not configured": lambda: token(algorithm="HS256"),
    "another audience": lambda: token(aud="somebody-else"),
    "the audience of tasks": lambda: token(aud="urn:airflow.apache.org:task"),
    "no audience": lambda: token(aud=None),
    "another issuer": lambda: token(iss="somebody-else"),
    "no issuer": lambda: token(iss=None),
    "not yet valid": lambda: token(nbf=NOW + 3000),
    "no exp": lambda: token(exp=None),
    "no nbf": lambda: token(nbf=None),
    "no iat": lambda: token(iat=None),
    "issued in the future": lambda: token(iat=NOW + 3000),
    "no subject": lambda: token(sub=None),
    "no role": lambda: jwt.encode({k: v for k, v in claims().items() if k != "role"}, SECRET, algorithm="HS512"),
    "a payload that was exchanged": _with_another_payload,
    "a signature cut short": lambda: token()[:-4],
    "a signature of another's": lambda: token().rpartition(".")[0] + "." + token("vic").rpartition(".")[2],
    "two parts": lambda: token().rpartition(".")[0],
    "four parts": lambda: token() + ".x",
    "a payload that is no JSON": lambda: f"{_part({'alg': 'HS512'})}.bm90anNvbg.x",
    "a payload that is a list": lambda: jwt.api_jws.encode(b"[1]", SECRET, algorithm="HS512"),
    "garbage": lambda: "garbage",
    "dots": lambda: "...",
    "very long": lambda: "a" * 15_000,
    "longer than any": lambda: "a" * 30_000,
    "characters that no token has": lambda: "a b{c}",
    "the signing key itself": lambda: SECRET,
}


@pytest.mark.parametrize("name", FORGERIES)
def test_a_forged_token_is_nobodys(guarded: Server, name: str) -> None:
    headers = {"Authorization": f"Bearer {FORGERIES[name]()}"}
    answer = guarded.http.post(CALL, json={}, headers=headers)
    assert (answer.status_code, answer.headers["www-authenticate"]) == (401, "Bearer"), answer.text
    assert answer.json()["type"] == "/problems/not-authenticated"
    answer = guarded.http.get(API, headers=headers)
    assert answer.status_code == 403  # what stock Airflow answers
    cookie = {"Cookie": f"_token={FORGERIES[name]().replace(' ', '')}"}
    assert guarded.http.get(API, headers=cookie).status_code in (401, 403)


def test_an_expired_token_is_nobodys(guarded: Server) -> None:
    for path in (CALL, API):
        answer = guarded.http.get(path, headers=bearer(exp=NOW - 10))
        assert (answer.status_code, answer.headers["www-authenticate"]) == (401, "Bearer")
        assert "Token Expired" in answer.json()["detail"]


def test_a_token_is_refused_the_moment_it_expires(guarded: Server) -> None:
    """However fresh the decision about it is."""
    headers = bearer("vic", exp=int(time.time()) + 2)
    assert guarded.http.get(CALL, headers=headers).status_code == 200
    eventually(lambda: guarded.http.get(CALL, headers=headers).status_code == 401, 20, "its end")


def test_a_revoked_token_is_refused(guarded: Server) -> None:
    written = claims("vic")
    headers = {"Authorization": f"Bearer {jwt.encode(written, SECRET, algorithm='HS512')}"}
    assert guarded.http.get(CALL, headers=headers).status_code == 200
    with sqlite3.connect(guarded.home / DATABASE, timeout=30) as database:
        database.execute("INSERT INTO revoked_token VALUES (?, ?)", (written["jti"], "2100-01-01 00:00:00.000000"))
    eventually(lambda: guarded.http.get(CALL, headers=headers).status_code == 401, 20, "its end")


@pytest.mark.parametrize(
    "given",
    [
        [],
        [""],
        ["Bearer"],
        ["Basic YWRhOnB3LW9mLWFkYQ=="],
        ["Token {token}"],
        ["{token}"],
        ["Bearer{token}"],
        ["Bearer {token} {token}"],
        ["Bearer {token},Bearer {token}"],
        ["Bearer\t{token}"],
    ],
)
def test_what_is_no_bearer_token_is_nobodys(guarded: Server, given: list[str]) -> None:
    headers = [("Authorization", text.format(token=token())) for text in given]
    for path in (CALL, API):
        answer = guarded.http.get(path, headers=headers)
        assert answer.status_code in (401, 403), answer.text
        assert answer.status_code == 401 or path == API


def test_two_headers_are_refused(guarded: Server) -> None:
    """Another server in front may have looked at the other one."""
    for first, second in ((token("vic"), token("ada")), (token("ada"), "x"), (token("ada"), token("ada"))):
        headers = [("Authorization", f"Bearer {first}"), ("Authorization", f"Bearer {second}")]
        for path in (CALL, API):
            assert guarded.http.get(path, headers=headers).status_code == 400


def test_headers_that_proxies_set_make_nobody_somebody(guarded: Server) -> None:
    for name in (
        "X-Forwarded-User",
        "X-Remote-User",
        "Remote-User",
        "X-Forwarded-Authorization",
        "Proxy-Authorization",
    ):
        assert guarded.http.get(CALL, headers={name: f"Bearer {token()}"}).status_code == 401
    for place in ("access_token", "token", "_token"):
        assert guarded.http.get(CALL, params={place: token()}).status_code == 401


def test_logging_in_calling_and_logging_out(guarded: Server) -> None:
    http = guarded.http
    wrong = http.post("/auth/token", json={"username": "uli", "password": "wrong"})
    assert wrong.status_code == 401
    assert http.post("/auth/token", json={}).status_code in (400, 422)
    asked = {"username": "uli", "password": "pw-of-uli"}
    assert http.post("/auth/token", data=asked).status_code == 201  # a form, as from Airflow's page
    foreign = http.post("/auth/token", data=asked, headers={"Origin": "https://evil.example"})
    assert foreign.status_code == 403
    answer = http.post("/auth/token", json=asked)
    assert answer.status_code == 201
    headers = {"Authorization": f"Bearer {answer.json()['access_token']}"}
    called = http.post(CALL, json={"say": "hi"}, headers=headers, params={"wait": "60"})
    assert called.json() == "common says hi"
    run = http.get(f"{API}/dagRuns/{called.headers['dagcall-run-id']}", headers=headers)
    assert run.json()["triggering_user_name"] == "uli"
    assert http.get("/api/v2/auth/logout", headers=headers).status_code == 307
    assert http.get(CALL, headers=headers).status_code == 401
    assert http.get("/api/v2/auth/login").headers["location"].startswith("/auth/login")


def test_the_cookie_counts_only_where_no_other_page_can_use_it(guarded: Server) -> None:
    with httpx.Client(base_url=guarded.url, cookies={"_token": token("ada")}, timeout=60) as browser:
        assert browser.get(CALL).status_code == 200
        assert browser.post(CALL, json={}).status_code == 401
        assert browser.delete("/call/common/by-ada").status_code == 401
        assert browser.post(CALL, json={}, headers={"Origin": "https://evil.example"}).status_code == 403
        assert browser.post(CALL, json={}, headers={"Sec-Fetch-Site": "cross-site"}).status_code == 401
        own = browser.post(CALL, json={}, headers={"Origin": guarded.url}, params={"wait": "60"})
        assert own.status_code == 200
        # A header goes before it: it does not become somebody else by being refused.
        assert browser.get(CALL, headers={"Authorization": "Bearer x"}).status_code == 401


def test_pages_for_everybody_are_open(guarded: Server) -> None:
    for path in (
        "/health/live",
        "/health/ready",
        "/docs",
        "/openapi.json",
        "/api/v2/version",
        "/api/v2/monitor/health",
    ):
        assert guarded.http.get(path).status_code == 200
    assert "common" not in guarded.http.get("/openapi.json").text
    assert "common" in guarded.http.get("/openapi.json", headers=bearer("vic")).text


def test_while_airflows_side_is_gone_nobody_gets_a_yes(guarded: Server) -> None:
    assert guarded.http.get(CALL, headers=bearer("vic")).status_code == 200
    [process] = guarded.processes("airflow")
    process.kill()
    # Of a token that nothing is known of: asked of the next process, within its limit.
    answer = guarded.http.get(CALL, headers=bearer("vic"))
    assert answer.status_code in (200, 503), answer.text
    forged = guarded.http.get(CALL, headers={"Authorization": f"Bearer {token(key='x' * 64)}"})
    assert forged.status_code in (401, 503)
    eventually(lambda: guarded.http.get(CALL, headers=bearer("vic")).status_code == 200, 60, "an answer")


def test_while_its_database_is_gone_nobody_gets_a_yes(guarded: Server) -> None:
    def rename(old: str, new: str) -> None:
        with sqlite3.connect(guarded.home / DATABASE, timeout=30) as database:
            database.execute(f"ALTER TABLE {old} RENAME TO {new}")

    rename("revoked_token", "elsewhere")
    try:
        for path in (CALL, API):
            answer = guarded.http.get(path, headers=bearer("vic"))
            assert answer.status_code == 503, answer.text
            assert "revoked_token" not in answer.text
    finally:
        rename("elsewhere", "revoked_token")
    eventually(lambda: guarded.http.get(CALL, headers=bearer("vic")).status_code == 200, 60, "an answer")
