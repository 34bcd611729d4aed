"""Asks the rate service over HTTP."""

from __future__ import annotations

from typing import TypedDict

import httpx
from airflow.sdk import Connection

VARIABLE = "AIRFLOW_CONN_HOTEL_RATES"
PATIENCE = 2.0  # seconds; a guest waits

# Made once, because that takes longer than a request. It keeps no connection: one that was left open by a task would
# make its process unfit for the next.
HTTP = httpx.Client(timeout=PATIENCE, trust_env=False, limits=httpx.Limits(max_keepalive_connections=0))


class Rate(TypedDict):
    """What a room costs for the whole stay."""

    room: str
    total_cents: int


class Rates(TypedDict):
    """What the rooms of a hotel cost; no rooms if it has none left."""

    hotel_id: str
    currency: str
    rooms: list[Rate]


class NoRates(Exception):
    """The service did not tell; the message says why."""


def ask(hotel_id: str, arrival: str, nights: int, level: str) -> Rates:
    """Of one hotel, for a guest of this level. Raises `NoRates`."""
    service = Connection.get("hotel_rates")
    url = f"{service.schema or 'http'}://{service.host}:{service.port}/hotels/{hotel_id}/rates"
    query = {"arrival": arrival, "nights": nights, "level": level}
    try:
        answer = HTTP.get(url, params=query)
        found = answer.json()
    except (httpx.HTTPError, ValueError) as error:
        raise NoRates(f"{url}: {error!r}") from error
    if answer.is_error:
        raise NoRates(f"the rate service answered {answer.status_code} for {hotel_id}: {found['error']}")
    return found
