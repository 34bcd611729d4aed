"""What a result that is not sent as a value is sent as: JSON Schemas."""

from typing import Any, Final

JsonSchema = dict[str, Any]
"""JSON Schema 2020-12."""

_TEXT: JsonSchema = {"type": "string"}


def _one_member(name: str, description: str, properties: JsonSchema) -> JsonSchema:
    inner = {"type": "object", "properties": properties, "required": list(properties)}
    return {"type": "object", "description": description, "properties": {name: inner}, "required": [name]}


REFERENCE: Final = _one_member(
    "reference",
    "A result that is too large for an answer, or that its author gives by reference: `href` streams its bytes, of "
    "which `size` and `sha256` are; these three are null where there was nothing under the URI.",
    {
        "uri": {**_TEXT, "description": "Where the object store has it."},
        "href": {"type": ["string", "null"], "description": "Path on this server; `Range` is supported."},
        "media_type": _TEXT,
        "size": {"type": ["integer", "null"], "minimum": 0},
        "sha256": {"type": ["string", "null"], "pattern": "^[0-9a-f]{64}$"},
    },
)

ASSET: Final = _one_member(
    "asset",
    "A result task that returned nothing and has updated this asset.",
    {"name": _TEXT, "uri": _TEXT, "extra": {"type": "object"}},
)
