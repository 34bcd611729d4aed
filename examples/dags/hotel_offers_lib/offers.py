"""From what the sources said to what the guest is shown."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import NamedTuple, TypedDict

from hotel_offers_lib import campaigns, scoring
from hotel_offers_lib.campaigns import Campaign
from hotel_offers_lib.database import Guest, Hotel
from hotel_offers_lib.rates import Rates
from hotel_offers_lib.scoring import Reason


class Offer(TypedDict):
    """A room for the whole stay."""

    hotel_id: str
    hotel: str
    room: str
    total: float
    currency: str
    campaign: str | None
    """The discount that is in the total."""
    score: float
    reasons: list[Reason]
    """Their points add up to the score."""


class Deal(NamedTuple):
    """The cheapest suitable room of a hotel, its discount taken off."""

    hotel: Hotel
    room: str
    cents: int
    currency: str
    campaign: Campaign | None


def rank(
    guest: Guest, hotels: Iterable[Hotel], rates: Iterable[Rates], discounts: Sequence[Campaign], nights: int
) -> list[Offer]:
    """One offer of each hotel that has a room left, the best for this guest first; at the same score, the cheaper."""
    deals = list(_deals(guest, hotels, {each["hotel_id"]: each for each in rates}, discounts))
    average = sum(deal.cents for deal in deals) / nights / max(1, len(deals))
    offers = [_offer(deal, scoring.reasons(guest, deal.hotel, deal.cents / nights, average)) for deal in deals]
    return sorted(offers, key=lambda offer: (-offer["score"], offer["total"]))


def notes(hotels: Sequence[Hotel], rates: Iterable[Rates], city: str, adults: int) -> list[str]:
    """What is missing from the offers, and why."""
    told = {each["hotel_id"]: each for each in rates}
    unknown = [f"{hotel['name']}: left out, its rates could not be had" for hotel in hotels if _lacks(hotel, told)]
    full = [
        f"{hotel['name']}: no room left on these nights"
        for hotel in hotels
        if not _lacks(hotel, told) and not told[hotel["hotel_id"]]["rooms"]
    ]
    return unknown + full if hotels else [f"No hotel in {city} has a room for {adults}."]


def _lacks(hotel: Hotel, told: Mapping[str, Rates]) -> bool:
    return hotel["hotel_id"] not in told


def _deals(
    guest: Guest, hotels: Iterable[Hotel], told: Mapping[str, Rates], discounts: Sequence[Campaign]
) -> Iterable[Deal]:
    for hotel in hotels:
        rates = told.get(hotel["hotel_id"])
        rooms = [rate for rate in rates["rooms"] if rate["room"] in hotel["rooms"]] if rates else []
        if rates and rooms:
            cheapest = min(rooms, key=lambda rate: rate["total_cents"])
            campaign = campaigns.best(discounts, guest, hotel)
            cents = round(cheapest["total_cents"] * (100 - (campaign["percent"] if campaign else 0)) / 100)
            yield Deal(hotel, cheapest["room"], cents, rates["currency"], campaign)


def _offer(deal: Deal, reasons: list[Reason]) -> Offer:
    return Offer(
        hotel_id=deal.hotel["hotel_id"],
        hotel=deal.hotel["name"],
        room=deal.room,
        total=deal.cents / 100,
        currency=deal.currency,
        campaign=deal.campaign["title"] if deal.campaign else None,
        score=scoring.score(reasons),
        reasons=reasons,
    )
