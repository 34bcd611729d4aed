"""Prices, discounts, points and places of the `hotel_offers` example: its pure functions."""

from __future__ import annotations

import json
import sys
from datetime import date
from pathlib import Path

import pytest

pytest.importorskip("airflow.sdk")
sys.path.append(str(Path(__file__).parents[3] / "examples" / "dags"))  # as Airflow does with a DAGs folder

from hotel_offers_lib import campaigns, offers, rate_service, scoring
from hotel_offers_lib.campaigns import Campaign, Conditions
from hotel_offers_lib.database import Guest, Hotel, Visits
from hotel_offers_lib.rates import Rate, Rates

FRIDAY = date(2026, 12, 11)
PLAN = {
    "seasons": [
        {"from": "01-01", "to": "11-30", "cents": 20000},
        {"from": "12-01", "to": "12-31", "cents": 10000},
    ],
    "room_percent": {"double": 100, "suite": 150},
    "weekend_percent": 120,
    "member_percent": {"gold": 90},
    "closed": [{"from": "2026-12-24", "to": "2026-12-26"}],
}


def a_guest(level: str = "basic", **told: object) -> Guest:
    guest = Guest(guest_id="G-1", name="A", level=level, usual_cents=None, tastes={}, visits={})
    return Guest(**{**guest, **told})


def a_hotel(hotel_id: str = "H-1", rating: float = 4.0, rooms: tuple[str, ...] = ("double",), **told: object) -> Hotel:
    hotel = Hotel(hotel_id=hotel_id, name=hotel_id, rating=rating, features=["spa", "pool", "view"], rooms=[*rooms])
    return Hotel(**{**hotel, **told})


def a_campaign(code: str, percent: int, when: Conditions) -> Campaign:
    return Campaign(code=code, title=code, percent=percent, when=when)


def some_rates(hotel_id: str, **cents: int) -> Rates:
    rooms = [Rate(room=room, total_cents=total) for room, total in cents.items()]
    return Rates(hotel_id=hotel_id, currency="EUR", rooms=rooms)


def test_the_price_is_the_sum_of_the_nights_less_the_members_discount() -> None:
    # Friday and Saturday night at the weekend's price, Sunday night at the plain one.
    assert rate_service.price(PLAN, FRIDAY, 3, "basic") == [
        {"room": "double", "total_cents": 12000 + 12000 + 10000},
        {"room": "suite", "total_cents": 18000 + 18000 + 15000},
    ]
    assert rate_service.price(PLAN, FRIDAY, 3, "gold")[0]["total_cents"] == 30600


def test_a_stay_over_two_seasons_pays_both() -> None:
    assert rate_service.price(PLAN, date(2026, 11, 30), 2, "basic")[0]["total_cents"] == 20000 + 10000


@pytest.mark.parametrize(("arrival", "rooms"), [(21, 2), (22, 0), (26, 0), (27, 2)])
def test_a_hotel_that_is_closed_on_one_of_the_nights_has_no_rooms(arrival: int, rooms: int) -> None:
    assert len(rate_service.price(PLAN, date(2026, 12, arrival), 3, "basic")) == rooms


def test_a_hole_in_the_plan_is_an_error_that_names_the_night() -> None:
    plans = json.loads(rate_service.PLANS.read_text())
    assert rate_service.price(plans["H-204"], date(2026, 10, 30), 2, "basic")
    with pytest.raises(LookupError, match="2026-11-01"):
        rate_service.price(plans["H-204"], date(2026, 10, 30), 3, "basic")


def test_only_the_plan_of_one_hotel_has_a_hole() -> None:
    plans = json.loads(rate_service.PLANS.read_text())
    year = [date.fromordinal(day) for day in range(date(2027, 1, 1).toordinal(), date(2028, 1, 1).toordinal())]
    for hotel_id in plans.keys() - {"H-204"}:
        for day in year:
            rate_service.price(plans[hotel_id], day, 1, "silver")


@pytest.mark.parametrize(
    ("stay", "codes"),
    [
        (("Lisbon", "2026-12-11", 2), ["WELCOME", "WINTER-SPA"]),
        (("Lisbon", "2026-12-11", 3), ["WELCOME", "LONG-LISBON", "WINTER-SPA"]),
        (("Porto", "2027-03-15", 5), ["WELCOME", "WINTER-SPA"]),
        (("Porto", "2027-03-16", 5), ["WELCOME"]),
        (("Vienna", "2027-06-01", 5), ["WELCOME", "FAMILY-SUMMER"]),
    ],
)
def test_the_file_says_which_campaigns_a_stay_is_open_to(stay: tuple[str, str, int], codes: list[str]) -> None:
    assert [campaign["code"] for campaign in campaigns.read(*stay)] == codes


def test_a_guest_gets_the_largest_discount_that_is_meant_for_them() -> None:
    welcome = a_campaign("welcome", 8, {"first_stay": True})
    gold = a_campaign("gold", 15, {"levels": ["gold"]})
    family = a_campaign("family", 20, {"feature": "family"})
    known = {"H-1": Visits(stays=1, rating=None)}

    def code(guest: Guest, hotel: Hotel) -> str | None:
        best = campaigns.best([welcome, gold, family], guest, hotel)
        return best["code"] if best else None

    assert code(a_guest(), a_hotel()) == "welcome"
    assert code(a_guest(visits=known), a_hotel()) is None
    assert code(a_guest("gold", visits=known), a_hotel()) == "gold"
    assert code(a_guest("gold"), a_hotel(features=["family"])) == "family"


def points(guest: Guest, hotel: Hotel, cents: float = 10000, average: float = 10000) -> dict[str, float]:
    parts = scoring.reasons(guest, hotel, cents, average)
    assert [part["points"] for part in parts] == sorted((part["points"] for part in parts), reverse=True)
    assert scoring.score(parts) == pytest.approx(sum(part["points"] for part in parts))
    return {part["because"].split(":")[0]: part["points"] for part in parts}


TASTES = {"spa": 1.0, "pool": 0.5, "view": 0.5, "quiet": 0.25, "budget": 0.1}


def test_the_best_hotel_for_a_guest_gets_all_points_for_taste() -> None:
    taste = "what they like, by share of their nights"
    assert points(a_guest(tastes=TASTES), a_hotel())[taste] == 40
    assert points(a_guest(tastes=TASTES), a_hotel(features=["spa", "gym", "family"]))[taste] == 20
    assert taste not in points(a_guest(tastes=TASTES), a_hotel(features=["gym", "family", "parking"]))
    assert taste not in points(a_guest(), a_hotel())


@pytest.mark.parametrize(("cents", "expected"), [(5000, 30), (10000, 30), (12500, 22.5), (20000, None), (90000, None)])
def test_what_is_dearer_than_usual_loses_points(cents: int, expected: float | None) -> None:
    assert points(a_guest(usual_cents=10000.0), a_hotel(), cents, average=1).get("price") == expected
    assert points(a_guest(), a_hotel(), cents, average=10000).get("price") == expected  # without stays: this search


@pytest.mark.parametrize(("rating", "expected"), [(5.0, 20), (3.0, None), (1.5, -15), (None, None)])
def test_own_stays_count_for_and_against(rating: float | None, expected: float | None) -> None:
    guest = a_guest(visits={"H-1": Visits(stays=2, rating=rating)})
    assert points(guest, a_hotel()).get("own stays here") == expected
    assert "own stays here" not in points(guest, a_hotel("H-2"))


def test_offers_are_the_cheapest_suitable_rooms_best_first() -> None:
    guest = a_guest("gold", tastes=TASTES, usual_cents=10000.0, visits={"H-3": Visits(stays=1, rating=5.0)})
    hotels = [
        a_hotel("H-1", features=["gym"]),
        a_hotel("H-2", rooms=("suite", "apartment")),
        a_hotel("H-3"),
        a_hotel("H-4"),
        a_hotel("H-5"),
    ]
    rates = [
        some_rates("H-1", double=20000),
        some_rates("H-2", double=100, suite=20000, apartment=19999),
        some_rates("H-3", double=20000),
        some_rates("H-5"),
    ]
    gold = a_campaign("gold", 10, {"levels": ["gold"]})
    ranked = offers.rank(guest, hotels, rates, [gold], nights=2)
    assert [(offer["hotel_id"], offer["room"], offer["total"]) for offer in ranked] == [
        ("H-3", "double", 180.0),
        ("H-2", "apartment", 179.99),
        ("H-1", "double", 180.0),
    ]
    assert {offer["campaign"] for offer in ranked} == {"gold"}
    assert ranked == sorted(ranked, key=lambda offer: -offer["score"])
    assert json.loads(json.dumps(ranked)) == ranked
    assert offers.notes(hotels, rates, "Lisbon", 2) == [
        "H-4: left out, its rates could not be had",
        "H-5: no room left on these nights",
    ]


def test_at_the_same_score_the_cheaper_comes_first() -> None:
    rates = [some_rates("H-1", double=9000), some_rates("H-2", double=8000)]
    ranked = offers.rank(a_guest(usual_cents=10000.0), [a_hotel("H-1"), a_hotel("H-2")], rates, [], nights=1)
    assert [offer["hotel_id"] for offer in ranked] == ["H-2", "H-1"]
    assert ranked[0]["score"] == ranked[1]["score"]


def test_no_hotel_is_said_so() -> None:
    assert offers.rank(a_guest(), [], [], [], nights=1) == []
    assert offers.notes([], [], "Vienna", 5) == ["No hotel in Vienna has a room for 5."]
