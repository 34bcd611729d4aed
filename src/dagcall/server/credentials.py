"""The token that a request comes with: in the Authorization header, or in Airflow's cookie where that is safe.

As in Airflow, a header goes before the cookie, and the cookie is what browsers send by themselves. So it counts only for
what another page gains nothing by (GET, HEAD), and for what this server's own pages have sent: the guard lets no
request with a foreign `Origin` pass, and browsers name the origin of every other method.
"""

import re

from starlette.requests import Request

from dagcall.errors import BadRequest, NotAuthenticated
from dagcall.server.guard import API_V2
from dagcall.server.problems import AirflowError

COOKIE = "_token"
"""Airflow's `COOKIE_NAME_JWT_TOKEN`."""
LONGEST = 16 * 1024
_TOKEN = re.compile(r"[A-Za-z0-9\-._~+/]+=*", re.ASCII)
"""RFC 6750's `b64token`."""


class InvalidToken(Exception):
    """What came as a token is none, is forged, or is of no use any more; the text is for the caller."""


def token_of(request: Request, *, cookie: bool = False) -> str:
    """Raises NotAuthenticated without one, `InvalidToken` for a text that cannot be one, BadRequest for several."""
    given = request.headers.getlist("authorization")
    if len(given) > 1:
        raise BadRequest("The request has more than one Authorization header.")
    if given:
        scheme, _, text = given[0].partition(" ")
        if scheme.lower() != "bearer":
            raise NotAuthenticated("The only scheme here is Bearer: send Authorization: Bearer TOKEN.")
        return _checked(text.strip(" "))
    if cookie and _is_ours(request):
        text = request.cookies.get(COOKIE, "")
        if text:
            return _checked(text)
    raise NotAuthenticated()


def invalid_token(text: str, request: Request) -> Exception:
    """What an invalid token is answered with. Below `/api/v2`, Airflow's 403 for what is no token of its own; 401
    everywhere else."""
    return AirflowError(403, text) if request.scope["path"].startswith(API_V2) else NotAuthenticated(text)


def _checked(text: str) -> str:
    if not text:
        raise NotAuthenticated()
    if len(text) > LONGEST or _TOKEN.fullmatch(text) is None:
        raise InvalidToken("This is no token.")
    return text


def _is_ours(request: Request) -> bool:
    if request.method in ("GET", "HEAD"):
        return True
    return "origin" in request.headers or request.headers.get("sec-fetch-site") == "same-origin"
