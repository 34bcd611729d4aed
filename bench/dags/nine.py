"""The shape of the `ask_astro` example, 1 -> 3 mapped -> 1 -> 3 mapped -> 1, with bodies that do nothing."""

from airflow.sdk import dag, result, task


@dag(schedule=None, params={"question": "What is a Dag?"})
def nine():
    @task
    def rephrase(params: dict) -> list[str]:
        return [params["question"], "How does one call a Dag?", "Why is a Dag acyclic?"]

    @task
    def look_up(question: str) -> dict:
        return {"question": question, "text": "A Dag is a workflow.", "source": "docs"}

    @task
    def merge(found: list[dict]) -> list[dict]:
        return list(found)

    @task
    def verify(passage: dict) -> dict:
        return {**passage, "verified": True}

    @result
    @task
    def answer(passages: list[dict]) -> dict:
        return {"text": passages[0]["text"], "sources": sorted({passage["source"] for passage in passages})}

    found = look_up.expand(question=rephrase())
    answer(verify.expand(passage=merge(found)))


nine()
