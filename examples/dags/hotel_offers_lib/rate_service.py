"""The HTTP service that knows what a room costs. A program of its own: it shares nothing with the DAG but HTTP.

    GET /hotels/H-101/rates?arrival=2026-12-11&nights=3&level=gold
    {"hotel_id": "H-101", "currency": "EUR", "rooms": [{"room": "double", "total_cents": 31616}]}

Run as `python rate_service.py FD`, it serves the listening socket with that descriptor, and ends when its standard
input does: whoever holds the other end of that pipe needs not stop it. Standard library only, so it starts quickly.
"""

import json
import os
import socket
import sys
import threading
from datetime import date, timedelta
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from urllib.parse import parse_qsl, urlsplit

PLANS = Path(__file__).parent / "data" / "rate_plans.json"
WEEKEND = (4, 5)  # the nights to Saturday and to Sunday


def price(plan: dict, arrival: date, nights: int, level: str) -> list[dict]:
    """What each room costs for the whole stay, in cents; nothing if the hotel is closed on one of the nights.

    Raises `LookupError` for a night that no season of the plan has a price for.
    """
    stay = [arrival + timedelta(days=number) for number in range(nights)]
    if any(closed["from"] <= night.isoformat() <= closed["to"] for night in stay for closed in plan["closed"]):
        return []
    member = plan["member_percent"].get(level, 100)
    rooms = []
    for room, percent in plan["room_percent"].items():
        weekend = [plan["weekend_percent"] if night.weekday() in WEEKEND else 100 for night in stay]
        prices = [_season(plan, night) * share for night, share in zip(stay, weekend, strict=True)]
        rooms.append({"room": room, "total_cents": round(sum(prices) * percent * member / 100**3)})
    return rooms


def _season(plan: dict, night: date) -> int:
    day = night.strftime("%m-%d")
    for season in plan["seasons"]:
        if season["from"] <= day <= season["to"]:
            return season["cents"]
    raise LookupError(f"the rate plan has no price for {night}")


class Handler(BaseHTTPRequestHandler):
    disable_nagle_algorithm = True  # head and body are two writes: the second is not to wait for an acknowledgement

    def do_GET(self) -> None:
        url = urlsplit(self.path)
        try:
            status, body = 200, self._rates(url.path, dict(parse_qsl(url.query)))
        except FileNotFoundError:
            status, body = 404, {"error": f"nothing is at {url.path}"}
        except Exception as error:
            self.log_error("%s: %r", self.path, error)
            status, body = 500, {"error": str(error)}
        content = json.dumps(body).encode()
        self.send_response(status)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(content)))
        self.end_headers()
        self.wfile.write(content)

    def _rates(self, path: str, query: dict[str, str]) -> dict:
        plans = json.loads(PLANS.read_bytes())  # each time: a corrected plan is in force at once
        match path.split("/"):
            case ["", "hotels", hotel_id, "rates"] if hotel_id in plans:
                stay = date.fromisoformat(query["arrival"]), int(query["nights"])
                rooms = price(plans[hotel_id], *stay, query["level"])
                return {"hotel_id": hotel_id, "currency": "EUR", "rooms": rooms}
        raise FileNotFoundError(path)

    def log_request(self, *_: object) -> None:
        """Only failures are logged."""


def serve(descriptor: int) -> None:
    """Answer until standard input ends."""
    listening = socket.socket(fileno=descriptor)
    server = ThreadingHTTPServer(listening.getsockname(), Handler, bind_and_activate=False)
    server.socket.close()
    server.socket = listening
    threading.Thread(target=server.serve_forever, daemon=True).start()
    while os.read(sys.stdin.fileno(), 1):
        pass


if __name__ == "__main__":
    serve(int(sys.argv[1]))
