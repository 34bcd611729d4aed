"""docs/http.md leaves out no parameter of `/call`, and names no problem that does not exist."""

import re
from pathlib import Path

from dagcall.errors import PROBLEM_TYPES
from dagcall.server.routes import CALL_ROUTES

PAGE = (Path(__file__).parents[2] / "docs" / "http.md").read_text()


def test_it_has_every_parameter_of_a_call() -> None:
    for route in (one for one in CALL_ROUTES if "/value" not in one.path):  # docs/results.md has that
        for one in route.parameters:
            assert f"`{one.name}" in PAGE or f"?{one.name}" in PAGE, f"{route.method} {route.path}: {one.name}"


def test_the_problems_it_names_exist() -> None:
    named = set(re.findall(r"`/?([a-z]+(?:-[a-z]+)+)`", PAGE)) - {"respond-async"}
    assert named <= set(PROBLEM_TYPES)
