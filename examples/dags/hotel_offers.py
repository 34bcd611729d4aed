"""Personal hotel offers, put together while the guest waits: from a SQL database, an HTTP service and a file."""

from __future__ import annotations

from typing import Any

from airflow.sdk import Param, dag, result, setup, task, teardown
from hotel_offers_lib import campaigns, database, offers, rates
from hotel_offers_lib.campaigns import Campaign
from hotel_offers_lib.database import Guest, Hotel
from hotel_offers_lib.rates import Rates
from hotel_offers_lib.sample import use_sample_systems

import dagcall

# The sample's HTTP service is started here, while the file is parsed, and not by a setup task: dagcall ends what a task
# has started together with that task, a start for each run would cost every guest 60 ms, and 50 runs at once would
# have 50 services. Nobody waits for it here, as its socket listens at once. It ends with the last process that has this
# file in memory, so nothing has to stop it.
use_sample_systems()


@dag(
    schedule=None,
    catchup=False,
    tags=["example", "personalisation"],
    params={
        "guest": Param(
            type="string",
            pattern=r"^G-\d{4}$",
            title="Guest",
            description="Who is asking. The sample has G-1001 to G-1004 and G-2000 to G-2999.",
            examples=["G-1001", "G-1004", "G-2007"],
        ),
        "city": Param(
            type="string",
            enum=["Lisbon", "Porto", "Vienna"],
            title="City",
            description="Where the guest wants to stay.",
            examples=["Lisbon"],
        ),
        "arrival": Param(
            type="string",
            format="date",
            title="Arrival",
            description="The day of arrival.",
            examples=["2026-12-11"],
        ),
        "nights": Param(2, type="integer", minimum=1, maximum=14, title="Nights", description="How many nights."),
        "adults": Param(
            2, type="integer", minimum=1, maximum=6, title="Adults", description="How many share the room."
        ),
        "max_offers": Param(
            3, type="integer", minimum=1, maximum=10, title="Offers", description="The most offers to show."
        ),
    },
)
def hotel_offers() -> None:
    """
    ### Hotel offers

    Offers for one guest, ranked by what the guest's own stays say, each with the reasons for its place.

    1. `open_quote`, the setup, opens a quote in the database; a guest who is not in it gets a 404
    2. `read_guest`, `find_hotels` (both SQL) and `read_campaigns` (a file) run side by side
    3. `fetch_rates` asks the HTTP service, once for each hotel, for what this guest would pay
    4. `gather_rates` goes on with the rates that came: one hotel without rates does not cost the guest the others
    5. `rank_offers` is the answer; it names the hotels that are missing
    6. `record_offers` and the teardown `close_quote` follow; no guest waits for them

    Database and service are those of the Connections `hotel_database` (SQLite) and `hotel_rates` (HTTP). Without
    them in the environment, the sample's own are used.
    """

    @setup
    def open_quote(params: dict[str, Any], run_id: str) -> None:
        if not database.open_quote(run_id, params["guest"]):
            raise dagcall.Reject(status=404, detail=f"no guest {params['guest']}")

    @task
    def read_guest(params: dict[str, Any]) -> Guest:
        return database.read_guest(params["guest"])

    @task
    def find_hotels(params: dict[str, Any]) -> list[Hotel]:
        return database.find_hotels(params["city"], params["adults"])

    @task
    def read_campaigns(params: dict[str, Any]) -> list[Campaign]:
        return campaigns.read(params["city"], params["arrival"], params["nights"])

    # No second try, whatever the deployment's default: the guest waits.
    @task(retries=0)
    def fetch_rates(hotel: Hotel, guest: Guest, params: dict[str, Any]) -> Rates:
        return rates.ask(hotel["hotel_id"], params["arrival"], params["nights"], guest["level"])

    # Only here may something be missing. Every other step keeps the default rule, so that a source which fails as a
    # whole fails the call, with its own error.
    @task(trigger_rule="all_done_min_one_success")
    def gather_rates(fetched: list[Rates]) -> list[Rates]:
        return list(fetched)

    # `none_failed`: where no hotel has a room that is large enough, nobody is asked for rates, and that is an answer.
    @result
    @task(trigger_rule="none_failed")
    def rank_offers(
        guest: Guest,
        hotels: list[Hotel],
        found: list[Rates] | None,
        discounts: list[Campaign],
        params: dict[str, Any],
        run_id: str,
    ) -> dict[str, Any]:
        ranked = offers.rank(guest, hotels, found or [], discounts, params["nights"])
        return {
            "quote": run_id,
            "guest": {"name": guest["name"], "level": guest["level"]},
            "offers": ranked[: params["max_offers"]],
            "notes": offers.notes(hotels, found or [], params["city"], params["adults"]),
        }

    @task
    def record_offers(answer: dict[str, Any], run_id: str) -> None:
        database.record_offers(run_id, answer["offers"])

    @teardown
    def close_quote(run_id: str) -> None:
        database.close_quote(run_id)

    with close_quote().as_teardown(setups=open_quote()):
        guest, hotels = read_guest(), find_hotels()
        found = gather_rates(fetch_rates.partial(guest=guest).expand(hotel=hotels))
        record_offers(rank_offers(guest, hotels, found, read_campaigns()))


hotel_offers()
