"""The entry point `apache_airflow_provider`: what `airflow` learns about dagcall at every start.

Imports nothing but the table of options; everything else is named, and imported by Airflow when it is asked for. The
plugin is an entry point of its own, `airflow.plugins`: while providers are discovered lazily, which is Airflow's default,
it does not look for plugins among them.
"""

import re
from dataclasses import MISSING, Field
from typing import Any

from dagcall.options import described, type_of
from dagcall.version import __version__

_INTEGRATION = "dagcall"
_LINK = re.compile(r"\[([^\]]*)\]\(([^)]*)\)")


def get_provider_info() -> dict[str, Any]:
    """As Airflow's `provider_info.schema.json` has it."""
    return {
        "package-name": "dagcall",
        "name": "dagcall",
        "description": "Call a DAG like a function and get its result, in milliseconds.",
        "version": __version__,
        "integrations": [{"integration-name": _INTEGRATION, "external-doc-url": "", "tags": ["software"]}],
        "hooks": [{"integration-name": _INTEGRATION, "python-modules": ["dagcall.provider.hook"]}],
        "operators": [{"integration-name": _INTEGRATION, "python-modules": ["dagcall.provider.operator"]}],
        "triggers": [{"integration-name": _INTEGRATION, "python-modules": ["dagcall.provider.trigger"]}],
        "connection-types": [
            {
                "connection-type": "dagcall",
                "hook-class-name": "dagcall.provider.hook.DagcallHook",
                "hook-name": "dagcall",
                "ui-field-behaviour": {
                    "hidden-fields": ["login"],
                    "relabeling": {"schema": "Scheme (http or https)", "password": "Token"},
                    "placeholders": {"host": "127.0.0.1", "port": "8274", "schema": "http"},
                },
            }
        ],
        "extra-links": ["dagcall.provider.link.CalledRunLink"],
        "cli": ["dagcall.provider.commands.get_dagcall_cli_commands"],
        "config": {
            "dagcall": {
                "description": "dagcall serves DAGs as functions: `dagcall serve`.",
                "options": {one.name: _option(one) for one in described()},
            }
        },
    }


def _option(one: Field[Any]) -> dict[str, Any]:
    assert one.default is not MISSING
    what = one.metadata["what"]
    if one.default is None:
        what += f". Not set: {one.metadata['unset']}"
    shown = {
        "description": _restructured(what[0].upper() + what[1:]) + ".\n",
        "version_added": "0.1.0",
        "type": type_of(one),
        "example": None,
        "default": None if one.default is None else str(one.default),
    }
    return shown | ({"sensitive": True} if one.metadata["sensitive"] else {})


def _restructured(markdown: str) -> str:
    """As reStructuredText, which Airflow's own descriptions are: code in double backquotes, no links."""
    return _LINK.sub(r"\1 (\2)", markdown).replace("**", "").replace("`", "``")
