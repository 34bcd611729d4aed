"""`explain_python` under stock Airflow, where nobody listens."""

from __future__ import annotations

from .conftest import UnderStock


def test_it_explains_without_being_listened_to(under_stock: UnderStock) -> None:
    (run,) = under_stock("explain_python", "explain", {"question": "lambda", "words": 10, "tokens_per_second": 10_000})
    assert run["state"] == "success"
    assert run["result"]["topic"] == "lambda"
    assert run["result"]["answer"].startswith("Lambda expressions")
