"""The documentation as one HTML page without scripts, fonts or anything else from elsewhere: it works offline, and its
Content-Security-Policy allows nothing but its own style sheet."""

import base64
import hashlib
import json
from html import escape
from importlib.resources import files
from typing import Any

from dagcall.server.openapi import value_in

_STYLE = files("dagcall.server").joinpath("docs_page.css").read_text("utf-8")

CONTENT_SECURITY_POLICY = (
    "default-src 'none'; "
    f"style-src 'sha256-{base64.b64encode(hashlib.sha256(_STYLE.encode()).digest()).decode()}'; "
    "base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
)


def docs_html(document: dict[str, Any]) -> str:
    """The page for an OpenAPI document."""
    info = document["info"]
    groups: dict[str, list[str]] = {}
    for path, operations in document["paths"].items():
        for method, operation in operations.items():
            groups.setdefault(operation["tags"][0], []).append(_operation(method.upper(), path, operation))
    sections = "".join(
        f'<section aria-label="{escape(tag)}"><h2>{escape(tag)}</h2>{"".join(rows)}</section>'
        for tag, rows in groups.items()
    )
    schemas = "".join(
        f'<details id="{escape(name)}"><summary><code>{escape(name)}</code></summary>{_json(schema)}</details>'
        for name, schema in document["components"]["schemas"].items()
    )
    return (
        '<!doctype html><html lang="en"><head><meta charset="utf-8">'
        '<meta name="viewport" content="width=device-width, initial-scale=1">'
        f"<title>{escape(info['title'])} {escape(info['version'])}</title><style>{_STYLE}</style></head><body><header>"
        f"<h1>{escape(info['title'])} <small>{escape(info['version'])}</small></h1><p>{escape(info['summary'])} "
        'The same as <a href="/openapi.json">OpenAPI</a>. <a href="/call">The DAGs of this server</a>.</p></header>'
        f'<main>{sections}<section aria-label="Schemas"><h2>Schemas</h2>{schemas}</section></main></body></html>'
    )


def _operation(method: str, path: str, operation: dict[str, Any]) -> str:
    rows = "".join(
        f"<tr><td><code>{escape(one['name'])}</code></td><td>{escape(one['in'])}</td>"
        f"<td>{_text(one.get('description', ''))}</td></tr>"
        for one in operation["parameters"]
    )
    table = f"<table><tr><th>Parameter</th><th>In</th><th></th></tr>{rows}</table>" if rows else ""
    body = operation.get("requestBody", {}).get("content", {}).get("application/json", {}).get("schema")
    return (
        f'<details><summary><b class="{method.lower()}">{method}</b> <code>{escape(path)}</code> '
        f"<span>{escape(operation['summary'])}</span></summary>"
        f"<p>{_text(operation.get('description', ''))}</p>{table}"
        f"{f'<h3>Body</h3>{_json(body)}' if body else ''}"
        f"<h3>Answers</h3><ul>{''.join(_answer(*item) for item in operation['responses'].items())}</ul>"
        f"<p><small>Permission: <code>{escape(operation['x-permission'])}</code></small></p></details>"
    )


def _answer(status: str, answer: dict[str, Any]) -> str:
    answer = value_in(answer)
    kinds = []
    for media_type, content in answer.get("content", {}).items():
        name = _schema_name(content["schema"])
        link = f' <a href="#{escape(name)}">{escape(name)}</a>' if name else ""
        kinds.append(f"{escape(media_type)}{link}")
    return f"<li><code>{status}</code> {escape(answer['description'])} <small>{', '.join(kinds)}</small></li>"


def _schema_name(schema: dict[str, Any]) -> str:
    """Of the component that it is, or is a narrower form of."""
    schema = schema.get("contentSchema", schema)
    reference: str = next(iter(schema.get("allOf", ())), schema).get("$ref", "")
    return reference.rpartition("/")[2]


def _json(value: object) -> str:
    return f"<pre>{escape(json.dumps(value, indent=2))}</pre>"


def _text(text: str) -> str:
    """`code` in backquotes."""
    parts = escape(text).split("`")
    return "".join(f"<code>{part}</code>" if n % 2 else part for n, part in enumerate(parts))
