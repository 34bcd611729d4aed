"""Airflow's own OpenAPI document, as the installed Airflow ships it: the schema of record for answers below `/api/v2`."""

import re
from functools import cache
from importlib.metadata import files
from typing import Any

import yaml
from jsonschema import Draft202012Validator

_NAME = "airflow/api_fastapi/core_api/openapi/v2-rest-api-generated.yaml"
Operation = tuple[str, str]
"""Method and path template."""


class AirflowDocument:
    def __init__(self, document: dict[str, Any]) -> None:
        self.operations: dict[Operation, dict[str, Any]] = {
            (method.upper(), path): operation
            for path, operations in document["paths"].items()
            for method, operation in operations.items()
        }
        self._components = {"schemas": {name: _exact(one) for name, one in document["components"]["schemas"].items()}}
        self._expressions = [
            (method, re.compile(re.sub(r"\\{\w+\\}", "([^/]+)", re.escape(path))), path)
            for method, path in self.operations
        ]

    def operation(self, method: str, path: str) -> Operation:
        """Of a request. Where several templates fit, the one with the fewest free parts."""
        fitting = [
            template for one, expression, template in self._expressions if one == method and expression.fullmatch(path)
        ]
        assert fitting, f"Airflow has no {method} {path}"
        return method, min(fitting, key=lambda template: template.count("{"))

    def query_parameters(self, operation: Operation) -> list[str]:
        return [one["name"] for one in self.operations[operation].get("parameters", ()) if one["in"] == "query"]

    def faults(self, operation: Operation, status: int, body: Any) -> list[str]:
        """What is wrong with an answer: a status that is not in the document, a field that is missing, too much, or of
        another type. None: it could have been Airflow's."""
        described = self.operations[operation]["responses"].get(str(status))
        if described is None:
            return [f"Airflow does not answer {status} here"]
        content = described.get("content", {}).get("application/json")
        if content is None:
            return [] if body is None else ["Airflow has no body here"]
        validator = Draft202012Validator({**content["schema"], "components": self._components})
        return [f"{error.json_path}: {error.message[:300]}" for error in validator.iter_errors(body)]


@cache
def airflow_document() -> AirflowDocument:
    (path,) = (one for one in files("apache-airflow-core") or () if str(one) == _NAME)
    return AirflowDocument(yaml.load(path.read_text(), yaml.CSafeLoader))


def _exact(schema: dict[str, Any]) -> dict[str, Any]:
    """Airflow always sends all fields of a response, and no others."""
    if "properties" not in schema or "additionalProperties" in schema or schema["title"].startswith("HTTP"):
        return schema
    return {**schema, "additionalProperties": False, "required": list(schema["properties"])}
