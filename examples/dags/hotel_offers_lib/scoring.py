"""How well a hotel suits a guest: points, each with the reason for them.

The score is the sum of four parts: what the guest likes (0 to 40), the price against what they usually pay (0 to 30),
their own stays there (-20 to 20), and what other guests say (0 to 10). A guest without stays gets the last, and the
price against the average of this search.
"""

from __future__ import annotations

from typing import TypedDict

from hotel_offers_lib.database import Guest, Hotel, Visits

TASTE, PRICE, EXPERIENCE, REPUTATION = 40, 30, 20, 10
BEST, MIDDLE = 5, 3  # ratings


class Reason(TypedDict):
    """A part of a score."""

    points: float
    because: str


def reasons(guest: Guest, hotel: Hotel, cents_per_night: float, average_cents: float) -> list[Reason]:
    """The parts that are not 0, the largest first. `average_cents`: of a night in all hotels that were found."""
    parts = [
        _taste(guest, hotel),
        _price(guest, cents_per_night, average_cents),
        _experience(guest["visits"].get(hotel["hotel_id"])),
        _reputation(hotel),
    ]
    return sorted((part for part in parts if part["points"]), key=lambda part: -part["points"])


def score(parts: list[Reason]) -> float:
    return round(sum(part["points"] for part in parts), 1)


def _taste(guest: Guest, hotel: Hotel) -> Reason:
    shares = sorted(((guest["tastes"].get(feature, 0.0), feature) for feature in hotel["features"]), reverse=True)
    most_possible = sum(sorted(guest["tastes"].values())[-len(shares) :])
    points = TASTE * sum(share for share, _ in shares) / most_possible if most_possible else 0.0
    liked = ", ".join(f"{feature} {share:.0%}" for share, feature in shares if share)
    return Reason(points=round(points, 1), because=f"what they like, by share of their nights: {liked}")


def _price(guest: Guest, cents_per_night: float, average_cents: float) -> Reason:
    difference = cents_per_night / (guest["usual_cents"] or average_cents) - 1
    standard = "what they usually pay" if guest["usual_cents"] else "the average of this search"
    points = PRICE * min(1.0, max(0.0, 1 - difference))
    return Reason(points=round(points, 1), because=f"price: {difference:+.0%} against {standard}")


def _experience(visits: Visits | None) -> Reason:
    if visits is None or visits["rating"] is None:
        return Reason(points=0.0, because="no rated stay")
    points = EXPERIENCE * (visits["rating"] - MIDDLE) / (BEST - MIDDLE)
    return Reason(points=round(points, 1), because=f"own stays here: {visits['stays']}, rated {visits['rating']:.1f}")


def _reputation(hotel: Hotel) -> Reason:
    return Reason(points=round(REPUTATION * hotel["rating"] / BEST, 1), because=f"guests rate it {hotel['rating']:.1f}")
