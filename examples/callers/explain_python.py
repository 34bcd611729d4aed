"""Have Python explained, word by word: on the terminal, or on a page for browsers (`--page [PORT]`)."""

import os
import sys
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from urllib.parse import parse_qs, urlsplit

import httpx

import dagcall

CALL = os.environ.get("DAGCALL_URL", "http://127.0.0.1:8274") + "/call/explain_python"
PAGE = Path(__file__).with_suffix(".html")


def on_the_terminal(question: str) -> None:
    with dagcall.Client() as client:
        for event in client.stream("explain_python", question=question):
            match event.event:
                case "chunk":
                    print(event.data["value"], end="", flush=True)
                case "rollback":  # the task is tried again: what it has said is void
                    print("\n(once more)")
                case "failure":
                    sys.exit(event.data["detail"])
    print()


class Page(BaseHTTPRequestHandler):
    """Serves the page, and passes the events of its questions on as they come."""

    def do_GET(self) -> None:
        url = urlsplit(self.path)
        if url.path == "/ask":
            self.ask({name: values[0] for name, values in parse_qs(url.query).items()})
        else:
            self.begin(200, "text/html; charset=utf-8")
            self.wfile.write(PAGE.read_bytes())

    def ask(self, query: dict[str, str]) -> None:
        """A browser whose connection broke asks again, with the id of the last event that it has: the key makes it the
        same run, and only what follows is sent. 204 tells it that nothing does."""
        headers = {"Accept": "text/event-stream", "Idempotency-Key": query["key"]}
        headers["Last-Event-ID"] = self.headers.get("Last-Event-ID", "")
        call = httpx.stream("POST", CALL, json={"question": query["question"]}, headers=headers, timeout=None)
        with call as answer:
            self.begin(answer.status_code, answer.headers.get("Content-Type", "text/plain"))
            for data in answer.iter_raw():
                self.wfile.write(data)

    def begin(self, status: int, media_type: str) -> None:
        self.send_response(status)
        self.send_header("Content-Type", media_type)
        self.end_headers()


def on_a_page(port: int) -> None:
    with ThreadingHTTPServer(("127.0.0.1", port), Page) as server:
        print(f"http://127.0.0.1:{server.server_port}", flush=True)
        server.serve_forever()


if __name__ == "__main__":
    if sys.argv[1:2] == ["--page"]:
        on_a_page(int(sys.argv[2]) if len(sys.argv) > 2 else 8275)
    else:
        on_the_terminal(" ".join(sys.argv[1:]) or "What does the with statement do?")
