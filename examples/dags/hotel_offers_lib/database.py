"""The hotels' database: guests with their stays, hotels with their rooms, quotes."""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Iterable, Mapping
from typing import Any, TypedDict

from airflow.providers.common.sql.hooks.handlers import fetch_all_handler
from airflow.providers.common.sql.hooks.sql import DbApiHook

VARIABLE = "AIRFLOW_CONN_HOTEL_DATABASE"
PATIENCE = 10  # seconds to wait for other writers: SQLite has one at a time, for less than a millisecond each
BAD_RATING = 2  # a stay rated so, or worse, says nothing about what a guest likes

GUEST = "SELECT guest_id, name, level FROM guest WHERE guest_id = :guest_id"
LIKED = "SELECT * FROM stay WHERE guest_id = :guest_id AND coalesce(rating, 5) > :bad_rating"
HABITS = f"SELECT sum(nights) AS nights, sum(nights * cents_per_night) AS cents FROM ({LIKED})"
TASTES = f"SELECT feature, sum(nights) AS nights FROM ({LIKED}) JOIN feature USING (hotel_id) GROUP BY feature"
VISITS = """
    SELECT hotel_id, count(*) AS stays, avg(rating) AS rating FROM stay WHERE guest_id = :guest_id GROUP BY hotel_id
"""
HOTELS = """
    SELECT hotel_id, name,
           (SELECT avg(rating) FROM stay WHERE hotel_id = hotel.hotel_id) AS rating,
           (SELECT json_group_array(feature) FROM feature WHERE hotel_id = hotel.hotel_id) AS features,
           json_group_array(room) AS rooms
    FROM hotel JOIN room USING (hotel_id) WHERE city = :city AND sleeps >= :adults
    GROUP BY hotel_id ORDER BY hotel_id
"""
# A task that is tried again opens or records the same quote again.
OPEN_QUOTE = """
    INSERT INTO quote (quote_id, guest_id) SELECT :quote_id, guest_id FROM guest WHERE guest_id = :guest_id
    ON CONFLICT (quote_id) DO UPDATE SET closed_at = NULL RETURNING quote_id
"""
RECORD = """
    INSERT OR REPLACE INTO offered (quote_id, place, hotel_id, total_cents, score)
    SELECT :quote_id, key + 1, value ->> 'hotel_id', round(100 * (value ->> 'total')), value ->> 'score'
    FROM json_each(:offers)
"""
CLOSE_QUOTE = "UPDATE quote SET closed_at = strftime('%Y-%m-%dT%H:%M:%fZ', 'now') WHERE quote_id = :quote_id"


class Visits(TypedDict):
    """A guest's stays in one hotel."""

    stays: int
    rating: float | None


class Guest(TypedDict):
    """A guest, and what their stays tell."""

    guest_id: str
    name: str
    level: str
    usual_cents: float | None
    """What a night costs them on average; None without a stay that they liked."""
    tastes: dict[str, float]
    """feature -> the share of their nights, 0 to 1, that they spent in hotels with it."""
    visits: dict[str, Visits]
    """By hotel_id."""


class Hotel(TypedDict):
    """A hotel with rooms that are large enough."""

    hotel_id: str
    name: str
    rating: float
    """What its guests gave it on average, 1 to 5."""
    features: list[str]
    rooms: list[str]


class SqliteHook(DbApiHook):
    """Airflow's SQL hook over the `sqlite3` of Python: the provider for SQLite does not come with Airflow."""

    conn_name_attr = "sqlite_conn_id"
    default_conn_name = "hotel_database"

    def get_conn(self) -> sqlite3.Connection:
        connection = sqlite3.connect(self.connection.host, timeout=PATIENCE)
        connection.row_factory = _as_dictionary
        # A sample needs not survive a power failure, so no guest waits for the disk.
        connection.execute("PRAGMA synchronous = OFF")
        return connection


def read_guest(guest_id: str) -> Guest:
    """Raises `LookupError` if there is no such guest."""
    known = {"guest_id": guest_id, "bad_rating": BAD_RATING}
    guests, (habits,), tastes, visits = _rows([GUEST, HABITS, TASTES, VISITS], known)
    if not guests:
        raise LookupError(f"no guest {guest_id}")
    return Guest(
        **guests[0],
        usual_cents=habits["cents"] / habits["nights"] if habits["nights"] else None,
        tastes={each["feature"]: each["nights"] / habits["nights"] for each in tastes},
        visits={each["hotel_id"]: Visits(stays=each["stays"], rating=each["rating"]) for each in visits},
    )


def find_hotels(city: str, adults: int) -> list[Hotel]:
    """Those of a city that have a room for so many."""
    (hotels,) = _rows([HOTELS], {"city": city, "adults": adults})
    return [
        Hotel(**{**hotel, "features": json.loads(hotel["features"]), "rooms": json.loads(hotel["rooms"])})
        for hotel in hotels
    ]


def open_quote(quote_id: str, guest_id: str) -> bool:
    """False if there is no such guest."""
    (opened,) = _rows([OPEN_QUOTE], {"quote_id": quote_id, "guest_id": guest_id})
    return bool(opened)


def record_offers(quote_id: str, offers: Iterable[Mapping[str, Any]]) -> None:
    """Keep what was offered under a quote, best first."""
    SqliteHook().run(RECORD, parameters={"quote_id": quote_id, "offers": json.dumps(list(offers))})


def close_quote(quote_id: str) -> None:
    SqliteHook().run(CLOSE_QUOTE, parameters={"quote_id": quote_id})


def _rows(statements: list[str], parameters: dict[str, Any]) -> list[list[dict[str, Any]]]:
    """The rows of each statement, all of them in one transaction."""
    return SqliteHook().run(statements, parameters=parameters, handler=fetch_all_handler)


def _as_dictionary(cursor: sqlite3.Cursor, row: tuple[Any, ...]) -> dict[str, Any]:
    return dict(zip((column[0] for column in cursor.description), row, strict=True))
