"""Params that show how a call looks, and that the DAG takes.

The author's own values go first: the default, `const`, `examples`, `enum`. Else one is made up from the rules, and
kept only if it fits them all; a pattern that nothing made up here fits needs `examples` (`hints` says so).
"""

import itertools
import math
from collections.abc import Iterator
from typing import Any

from dagcall.contract.schemas import fits
from dagcall.model.answers import JsonSchema
from dagcall.model.plan import DagPlan

_PLACEHOLDER = "..."
_MOST = 200
"""Values that are tried for one param."""
_DEPTH = 6
_LONGEST = 10_000
"""Characters of a text that is made up."""
_FORMATS = {
    "date-time": "2026-01-31T12:00:00Z",
    "date": "2026-01-31",
    "time": "12:00:00Z",
    "duration": "PT1H",
    "email": "ada@example.org",
    "hostname": "example.org",
    "ipv4": "192.0.2.1",
    "ipv6": "2001:db8::1",
    "uri": "https://example.org/",
    "uuid": "6f1c2f9e-8a4f-4d9c-9b1e-2f6d1c0a7b3e",
}


def example_params(plan: DagPlan) -> dict[str, Any]:
    """One value for each param. What no value was found for is a placeholder, or left out if its default stands in."""
    required = plan.params_schema.get("required", ())
    found = {}
    for name, schema in plan.params_schema.get("properties", {}).items():
        value = example(schema)
        if value is not None:
            found[name] = value[0]
        elif name in required or "default" not in schema:
            found[name] = _PLACEHOLDER
    return found


def example(schema: JsonSchema) -> tuple[Any] | None:
    """A value that fits, in a tuple: it may be None."""
    try:
        for value in itertools.islice(_candidates(schema, schema, _DEPTH), _MOST):
            if fits(value, schema):
                return (value,)
    except Exception:
        pass  # the author's schema is none, such as `minimum: "1"` or `multipleOf: 0`: nothing fits it
    return None


def _candidates(schema: Any, root: JsonSchema, depth: int) -> Iterator[Any]:
    if not isinstance(schema, dict) or depth == 0:
        yield _PLACEHOLDER
        return
    for name in ("default", "const"):
        if name in schema:
            yield schema[name]
    for name in ("examples", "enum"):
        values = schema.get(name)
        yield from values if isinstance(values, list) else ()
    if isinstance(schema.get("$ref"), str):
        yield from _candidates(_resolved(schema["$ref"], root), root, depth - 1)
    for name in ("anyOf", "oneOf", "allOf"):
        for one in schema.get(name, ()):
            yield from _candidates(one, root, depth - 1)
    kinds = schema.get("type", "string")
    for kind in [kinds] if isinstance(kinds, str) else kinds:
        yield from _of_type(kind, schema, root, depth)


def _of_type(kind: str, schema: JsonSchema, root: JsonSchema, depth: int) -> Iterator[Any]:
    match kind:
        case "integer" | "number":
            yield from _numbers(schema, kind)
        case "string":
            yield from _texts(schema)
        case "boolean":
            yield from (True, False)
        case "null":
            yield None
        case "array":
            yield _array(schema, root, depth)
            yield []
        case "object":
            properties = schema.get("properties", {})
            yield {name: _first(rules, root, depth) for name, rules in properties.items()}
            yield {name: _first(properties.get(name), root, depth) for name in schema.get("required", ())}


def _numbers(schema: JsonSchema, kind: str) -> Iterator[float]:
    step = schema.get("multipleOf", 1)
    least = max(schema.get("minimum", -math.inf), schema.get("exclusiveMinimum", -math.inf))
    most = min(schema.get("maximum", math.inf), schema.get("exclusiveMaximum", math.inf))
    yield 1
    if math.isfinite(least):
        yield from (least, math.floor(least) + 1, (math.floor(least / step) + 1) * step)
    if math.isfinite(most):
        yield from (most, math.ceil(most) - 1, (math.ceil(most / step) - 1) * step)
    yield from (step, 0)
    if math.isfinite(least + most) and kind == "number":
        yield (least + most) / 2


def _texts(schema: JsonSchema) -> Iterator[str]:
    if (text := _FORMATS.get(schema.get("format", ""))) is not None:
        yield text
    least, most = int(schema.get("minLength", 0)), int(schema.get("maxLength", 1 << 20))
    yield _PLACEHOLDER[:most].ljust(min(least, _LONGEST), ".")
    if "pattern" in schema:  # codes of letters and digits are what patterns are mostly for
        for length in range(1, 13):
            yield from ("A" * length, "1" * length, "a" * length, "A-" + "1" * length)
        yield from ("A1", "a1", "a_b", "a-b", *_FORMATS.values())


def _array(schema: JsonSchema, root: JsonSchema, depth: int) -> list[Any]:
    first = [_first(rules, root, depth) for rules in schema.get("prefixItems", ())]
    items = itertools.islice(_candidates(schema.get("items"), root, depth - 1), max(1, int(schema.get("minItems", 1))))
    return first + list(items) if isinstance(schema.get("items"), dict) else first


def _first(schema: Any, root: JsonSchema, depth: int) -> Any:
    """Of a part: the first one that fits the part's own rules, else the first one."""
    tried = list(itertools.islice(_candidates(schema, root, depth - 1), 20))
    own = {**schema, "$defs": root.get("$defs", {})} if isinstance(schema, dict) else {}
    return next((value for value in tried if fits(value, own)), tried[0] if tried else _PLACEHOLDER)


def _resolved(reference: str, root: JsonSchema) -> Any:
    found: Any = root
    for part in reference.removeprefix("#").split("/")[1:]:
        found = found.get(part.replace("~1", "/").replace("~0", "~")) if isinstance(found, dict) else None
    return found
