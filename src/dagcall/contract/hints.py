"""What an author could still say about a DAG, so that its callers know more. Nothing here stands in a call's way."""

from collections.abc import Iterator

from dagcall.contract.examples import example
from dagcall.contract.schemas import fits
from dagcall.model.plan import DagPlan, Note

_SAYS_WHAT_IT_IS = ("type", "enum", "const", "$ref", "anyOf", "oneOf", "allOf")


def hints_of(plan: DagPlan) -> Iterator[Note]:
    if not plan.description and not plan.doc_md:
        yield Note(None, "description", "is missing: `description=`, or a docstring")
    required = plan.params_schema.get("required", ())
    for name, schema in plan.params_schema.get("properties", {}).items():
        param = f"param {name!r}"
        if not any(keyword in schema for keyword in _SAYS_WHAT_IT_IS):
            yield Note(None, param, "has no type: any JSON is taken (`Param(..., type=...)`)")
        if not schema.get("description") and not schema.get("title"):
            yield Note(None, param, "has neither title nor description")
        if name not in required and not fits(schema.get("default"), schema):
            yield Note(None, param, "has a default that does not fit its own schema: every call must send it")
        if example(schema) is None:
            yield Note(None, param, "has no example: give it a default, or `examples=[...]` that fit its schema")
    if not plan.result_tasks:
        yield Note(None, "result", "is missing: a call is told how the run ended, and gets no value (`@result`)")
    for task_id in plan.result_tasks:
        if task_id not in plan.result_schemas:
            yield Note(task_id, "return annotation", "is missing: callers cannot know what they get (`def f() -> ...`)")
