"""Print a guest's hotel offers: python examples/callers/hotel_offers.py G-1001 Lisbon 2026-12-11 --nights 3"""

import argparse
import sys
import time

import dagcall
from dagcall.errors import Rejected

parser = argparse.ArgumentParser(description=__doc__)
for name in ("guest", "city", "arrival"):
    parser.add_argument(name)
for name in ("--nights", "--adults"):
    parser.add_argument(name, type=int, default=2)
params = vars(parser.parse_args())

with dagcall.Client() as client:  # of the server that DAGCALL_URL names, else of http://127.0.0.1:8274
    begun = time.perf_counter()
    try:
        found = client.call("hotel_offers", params)
    except Rejected as refusal:
        sys.exit(f"Refused ({refusal.status}): {refusal.detail}")
    except dagcall.DagcallError as error:  # the run failed, the params do not fit, no server, ...
        sys.exit(f"No offers: {error}")
    took = time.perf_counter() - begun

    print(f"{found['guest']['name']} ({found['guest']['level']}), {params['nights']} nights in {params['city']}:")
    for place, offer in enumerate(found["offers"], start=1):
        campaign = f" ({offer['campaign']})" if offer["campaign"] else ""
        print(f"{place}. {offer['hotel']}, {offer['room']}: {offer['total']:.2f} {offer['currency']}{campaign}")
        for reason in offer["reasons"]:
            print(f"   {reason['points']:+5.1f}  {reason['because']}")
    for note in found["notes"]:
        print(f"Note: {note}")
    print(f"Answered in {1000 * took:.0f} ms.")

    events = iter(client.run("hotel_offers", found["quote"]).events())
    ended = [event.data["task_id"] for event in events if event.event == "task" and event.data["state"] == "success"]
    print("Ended after the answer:", *ended[ended.index("rank_offers") + 1 :])
