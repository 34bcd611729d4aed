"""The nine tasks of `nine`, with what real ones do besides. Critical path: 200 ms.

Each task writes three log lines; a Connection is read; what a task passes on is 20 kB of text (`merge`: three times
that). Four of the nine wait 100 ms for something outside: the three look-ups, which can wait at the same time, and
the answer after them. So no machine can answer before 200 ms, and all above that is what running the DAG costs.

The waits are sleeps. A slow socket would need a server, whose CPU time would be taken from what is measured; to the
process that waits it is the same.
"""

import logging
import time
import zlib

from airflow.sdk import Connection, dag, result, task

WAIT = 0.1
TEXT = ("A Dag is a workflow: tasks, and what has to run before what. " * 400)[:20_000]

log = logging.getLogger("airflow.task")


@dag(schedule=None, params={"question": "What is a Dag?"})
def realistic():
    @task
    def rephrase(params: dict) -> list[dict]:
        index = Connection.get("bench_index")
        log.info("The index is at %s", index.host)
        log.info("Asked: %s", params["question"])
        questions = [params["question"], "How does one call a Dag?", "Why is a Dag acyclic?"]
        log.info("Looking up %d wordings", len(questions))
        context = TEXT[: len(TEXT) // len(questions)]
        return [{"question": question, "index": index.host, "context": context} for question in questions]

    @task
    def look_up(wording: dict) -> dict:
        log.info("Asking %s", wording["index"])
        log.info("Question: %s", wording["question"])
        time.sleep(WAIT)
        log.info("Found %d bytes", len(TEXT))
        return {"question": wording["question"], "text": TEXT, "source": wording["index"]}

    @task
    def merge(found: list[dict]) -> list[dict]:
        passages = list(found)
        log.info("Merging %d passages", len(passages))
        log.info("Sources: %s", {passage["source"] for passage in passages})
        log.info("They have %d bytes", sum(len(passage["text"]) for passage in passages))
        return passages

    @task
    def verify(passage: dict) -> dict:
        log.info("Verifying what %s said", passage["source"])
        checksum = zlib.crc32(passage["text"].encode())
        log.info("Checksum: %08x", checksum)
        log.info("Nothing is wrong with it")
        return {**passage, "checksum": checksum}

    @result
    @task
    def answer(passages: list[dict]) -> dict:
        verified = list(passages)
        log.info("Asking for an answer")
        time.sleep(WAIT)
        log.info("Answered from %d passages", len(verified))
        log.info("Done")
        return {"text": verified[0]["text"][:60], "checksums": [passage["checksum"] for passage in verified]}

    found = look_up.expand(wording=rephrase())
    answer(verify.expand(passage=merge(found)))


realistic()
