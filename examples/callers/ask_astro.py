"""Asks Airflow's documentation a question: python ask_astro.py How do I wait for a file to appear?"""

import sys
import textwrap
import time

import dagcall

question = " ".join(sys.argv[1:]).strip()
if not question:
    print("What is the question? For example: ask_astro.py Where are logs stored?", file=sys.stderr)
    sys.exit(2)
with dagcall.Client() as client:
    begun = time.perf_counter()
    try:
        found = client.call("ask_astro", question=question)
    except dagcall.DagcallError as error:
        sys.exit(f"The question was not answered: {error}")
    milliseconds = (time.perf_counter() - begun) * 1000

print(textwrap.fill(found["answer"], 100))
for source in found["sources"]:
    print(f"- {source['title']} ({source['location']})")
print(f"{milliseconds:.0f} ms")
