"""An answer that is shown while it is written: the shape of a call to a language model."""

from __future__ import annotations

from typing import Any

from airflow.sdk import Param, dag, result, task
from explain_python_lib import model, topics

import dagcall


@dag(
    schedule=None,
    catchup=False,
    tags=["example", "streaming"],
    params={
        "question": Param(
            type="string",
            minLength=1,
            title="Question",
            description="What to explain about Python, in English.",
            examples=["What does the with statement do?"],
        ),
        "words": Param(60, type="integer", minimum=1, maximum=1000, title="Words", description="About how many."),
        "tokens_per_second": Param(200, type="number", minimum=1, maximum=10_000, title="Pace"),
    },
)
def explain_python() -> None:
    """
    ### Explain Python

    Finds the help topic that fits the question, then has it explained by a (stand-in for a) language model. Every
    token is emitted as it comes: `dagcall call explain_python --stream` shows them, and so does a browser.
    """

    @task
    def retrieve(params: dict[str, Any]) -> dict[str, str]:
        try:
            topic = topics.find(params["question"])
        except LookupError as nothing:
            raise dagcall.Reject(status=404, detail=str(nothing)) from None
        return {"topic": topic, "passage": topics.passage(topic, params["words"])}

    @result
    @task
    def explain(found: dict[str, str], params: dict[str, Any]) -> dict[str, Any]:
        tokens = []
        for token in model.generate(found["passage"], params["tokens_per_second"]):
            dagcall.emit(token)  # under stock Airflow nobody listens, and this does nothing
            tokens.append(token)
            left = dagcall.time_left()
            if left is not None and left < 0.2:
                break  # better a short answer in time than none
        return {"topic": found["topic"], "answer": "".join(tokens), "tokens": len(tokens)}

    explain(retrieve())


explain_python()
