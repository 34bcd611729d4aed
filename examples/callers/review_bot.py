"""Chat with the review bot: a topic a line, until the end of the input."""

import sys

import dagcall

prompt = "What about? " if sys.stdin.isatty() else ""
with dagcall.Client() as client:
    while True:
        try:
            topic = input(prompt).strip()
            if topic:
                print(client.call("review_bot", topic=topic)["summary"], end="\n\n", flush=True)
        except (EOFError, KeyboardInterrupt):
            break
        except dagcall.DagcallError as error:
            sys.exit(f"The review bot cannot answer: {error}")
