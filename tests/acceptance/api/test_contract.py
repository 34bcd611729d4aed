"""`GET /call/{dag_id}`: a contract that a caller can rely on, with examples that work as they stand."""

import ast
import json
import os
import subprocess
import sys
from typing import Any

import pytest
from jsonschema import Draft202012Validator, FormatChecker
from openapi_spec_validator import OpenAPIV31SpecValidator

from ..serving import SOURCE, Server

VALUES: dict[str, Any] = {
    "order": {
        "customer": "...",
        "lines": [{"article": "pen", "count": 1, "price": "1.25"}],
        "total": "1.25",
        "express": False,
        "deliver": None,
    },
    "echo": None,
    "points": {"point": [{"x": 0.0, "y": 0.0}, {"x": 1.0, "y": 1.0}], "label": "few"},
    "shell": "shell",
}


def run(command: list[str]) -> str:
    environment = {name: value for name, value in os.environ.items() if not name.startswith("DAGCALL")}
    done = subprocess.run(
        command, env=environment | {"PYTHONPATH": str(SOURCE)}, capture_output=True, text=True, timeout=60, check=True
    )
    return done.stdout


def contract(server: Server, dag_id: str) -> dict[str, Any]:
    answer = server.http.get(f"/call/{dag_id}")
    assert answer.status_code == 200, answer.text
    found: dict[str, Any] = answer.json()
    return found


@pytest.mark.parametrize("dag_id", VALUES)
def test_the_examples_work_as_they_stand(described: Server, dag_id: str) -> None:
    document = contract(described, dag_id)
    example = document["example"]
    params = Draft202012Validator(document["params_schema"], format_checker=FormatChecker())
    assert params.is_valid(example["params"])
    by_curl = json.loads(run(["sh", "-c", f"{example['curl']} --silent --show-error --fail"]))
    assert by_curl == VALUES[dag_id]
    assert Draft202012Validator(document["result_schema"]).is_valid(by_curl)
    by_python = run([sys.executable, "-c", example["python"]]).strip()
    assert by_python == "shell" if dag_id == "shell" else ast.literal_eval(by_python) == VALUES[dag_id]
    dagcall = f"{sys.executable} -m dagcall.cli"
    with_server = f"{example['cli'].replace('dagcall', dagcall, 1)} --url {described.url}"
    assert json.loads(run(["sh", "-c", with_server])) == VALUES[dag_id]


def test_a_contract_says_what_there_is_to_say(described: Server) -> None:
    document = contract(described, "order")
    assert document["doc_md"].strip() == "Take an order."
    assert document["result_tasks"] == ["confirm"]
    assert document["params_schema"]["required"] == ["customer"]
    assert document["params_schema"]["properties"]["count"]["maximum"] == 1000
    assert document["result_schema"]["properties"]["lines"]["items"] == {"$ref": "#/$defs/Line"}
    assert document["openapi"] == "/call/order/openapi.json"
    assert document["hints"] == []
    assert contract(described, "silent")["result_schema"] is None
    assert set(contract(described, "updates")["result_schema"]["properties"]) == {"asset"}
    assert contract(described, "echo")["hints"] == ["param 'what' has neither title nor description"]


def test_every_document_is_openapi(described: Server) -> None:
    everything = described.http.get("/openapi.json").json()
    OpenAPIV31SpecValidator(everything).validate()
    assert everything["paths"]["/call/order"]["post"]["summary"] == "Take an order."
    for dag in described.http.get("/call").json()["dags"]:
        assert f"/call/{dag['dag_id']}" in everything["paths"]
    OpenAPIV31SpecValidator(described.http.get("/call/points/openapi.json").json()).validate()
