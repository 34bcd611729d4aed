"""Checks of our own, which schemathesis loads by this module's name (`SCHEMATHESIS_HOOKS`)."""

import re
from typing import Any

import schemathesis

REFUSALS = re.compile(
    "|".join(
        (
            "idempotency-mismatch",
            "'until' is for event streams",
            "Last-Event-ID goes on with",  # only with Idempotency-Key
            "dag_id is required when dag_run_id is specified",
            "'run_id'|allowed_run_id_pattern",
            "must be a valid JSON object",  # a Connection's extra: JSON within a text
            "does(n't| not) match (the )?(uri|URL) parameter",
            "do not fit DAG",  # below /api/v2, whose documents do not know a DAG's params
            "with NUL",  # paths, queries and names
            "Bad Signature",  # made-up tokens
            "Default Pool",
        )
    )
)
"""What is refused although each part of it fits its schema."""


@schemathesis.check
def only_runs_fail(ctx: Any, response: Any, case: Any) -> None:
    """A 500 or 504 is a run's outcome, and says so; 501 and 503 are documented; there are no others."""
    if response.status_code < 500 or response.status_code in (501, 503):
        return
    outcome = response.headers.get("dagcall-outcome", ["none"])[0]
    expected = {500: ("failed",), 504: ("deadline",)}.get(response.status_code, ())
    assert outcome in expected, f"{response.status_code} with the outcome {outcome}: the server's own failure"


@schemathesis.check
def what_fits_is_taken(ctx: Any, response: Any, case: Any) -> None:
    """Nothing that the document allows is refused as malformed."""
    meta = case.meta
    if meta is None or not meta.generation.mode.is_positive or response.status_code not in (400, 406, 413, 415, 422):
        return
    rejected_by_the_task = "dagcall-outcome" in response.headers
    assert rejected_by_the_task or REFUSALS.search(response.text), response.text


@schemathesis.hook
def before_call(context: Any, case: Any, kwargs: Any) -> None:
    """No run can have the name of its DAG's document, which is another operation at that path."""
    if (case.path_parameters or {}).get("run_id") == "openapi.json":
        case.path_parameters["run_id"] = "openapi"
