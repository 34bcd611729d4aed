"""What the examples promise to their callers: all that there is to say, and what they then answer."""

import pytest
from jsonschema import Draft202012Validator

from ..serving import Server


def test_the_examples_leave_nothing_unsaid(examples: Server) -> None:
    for dag in examples.http.get("/call").json()["dags"]:
        assert dag["hints"] == dag["notes"] == dag["warnings"] == [], dag["dag_id"]


@pytest.mark.parametrize("dag_id", ["ask_astro", "explain_python", "hotel_offers"])
def test_the_example_call_is_answered_as_promised(examples: Server, dag_id: str) -> None:
    contract = examples.http.get(f"/call/{dag_id}").json()
    value = examples.value(dag_id, **contract["example"]["params"])
    assert contract["result_schema"]
    Draft202012Validator(contract["result_schema"]).validate(value)
