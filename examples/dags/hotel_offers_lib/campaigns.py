"""Campaigns: discounts, and when they apply. They are kept in a file that marketing edits."""

from __future__ import annotations

import json
from collections.abc import Iterable
from pathlib import Path
from typing import TypedDict

from hotel_offers_lib.database import Guest, Hotel

FILE = Path(__file__).parent / "data" / "campaigns.json"


class Conditions(TypedDict, total=False):
    """All that are named must hold."""

    city: str
    min_nights: int
    arrival_from: str
    arrival_to: str
    levels: list[str]
    first_stay: bool
    feature: str


class Campaign(TypedDict):
    """One discount."""

    code: str
    title: str
    percent: int
    when: Conditions


def read(city: str, arrival: str, nights: int) -> list[Campaign]:
    """Those that this stay is not excluded from; guest and hotel are left to `best`."""
    return [
        campaign
        for campaign in json.loads(FILE.read_text(encoding="utf-8"))
        if campaign["when"].get("city", city) == city
        and campaign["when"].get("min_nights", 1) <= nights
        and campaign["when"].get("arrival_from", arrival) <= arrival <= campaign["when"].get("arrival_to", arrival)
    ]


def best(campaigns: Iterable[Campaign], guest: Guest, hotel: Hotel) -> Campaign | None:
    """The largest discount that this guest gets in this hotel. Campaigns do not add up."""
    open_to = [
        campaign
        for campaign in campaigns
        if guest["level"] in campaign["when"].get("levels", [guest["level"]])
        and campaign["when"].get("first_stay", not guest["visits"]) == (not guest["visits"])
        and campaign["when"].get("feature", hotel["features"][0]) in hotel["features"]
    ]
    return max(open_to, key=lambda campaign: campaign["percent"], default=None)
