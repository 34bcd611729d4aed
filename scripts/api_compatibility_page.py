"""Write docs/api-compatibility.md from Airflow's OpenAPI document, dagcall's own, and the table of what is not supported.

python scripts/api_compatibility_page.py            write it
python scripts/api_compatibility_page.py --check    exit 1 when it is not current
"""

import re
import sys
from collections import Counter
from importlib.metadata import files, version
from pathlib import Path
from typing import Any

import yaml

ROOT = Path(__file__).parents[1]
PAGE = ROOT / "docs" / "api-compatibility.md"

TEMPLATE = """\
# Airflow's REST API, endpoint by endpoint

Written by `scripts/api_compatibility_page.py` from the OpenAPI document of Apache Airflow {airflow}, from dagcall's own
(`/openapi.json`), and from `src/dagcall/server/api_v2/unsupported.py`; do not edit.

Scripts for Airflow and the official `apache-airflow-client` work with dagcall as they are:

- **same**: all parameters and fields of Airflow's document are taken, and the answer has all of its fields.
- **subset**: the same, without what the row names. Asked for it, dagcall answers 501: a filter is never ignored.
- **501**: not supported. The answer's `detail` is a sentence with the reason in the row.

Where pools, Variables and Connections are those of an existing Airflow's database ([beside Airflow](airflow.md)), they are
changed in Airflow, and changes here are answered 501.

Errors have Airflow's statuses and its body, `{{"detail": ...}}`. A path below `/api/v2` that Airflow does not have is
answered 501 too.

{figures}

## Fields that are always the same

Answers have every field of Airflow's document. Where there is nothing that Airflow means by it, the field is null, or as
this table says:

| schema | fields | because |
|---|---|---|
{fields}

{sections}"""

FIELDS = (
    ("DAGRunResponse", "`data_interval_start`, `data_interval_end`", "of DAGs without a schedule the logical date; with one null: its timetable infers the interval in the worker, from the logical date, and the server never runs that code"),
    ("DAGRunResponse", "`dag_versions`", "empty: versions of a DAG file have no numbers; `bundle_version` tells which one the run used"),
    ("DAGRunResponse", "`last_scheduling_decision`, `partition_key`, `partition_date`", "null: no scheduler, no partitions"),
    ("TaskInstanceResponse, TaskInstanceHistoryResponse", "`dag_version`, `executor`, `unixname`, `triggerer_job`", "null: no numbered versions, executors or jobs; tasks run as the server's own user"),
    ("TaskInstanceResponse, TaskInstanceHistoryResponse", "`executor_config`", "`{}`"),
    ("TaskInstanceHistoryResponse", "`hostname`, `pid`, `queued_when`, `scheduled_when`", "of the latest try only"),
    ("DAGRunCollectionResponse, TaskInstanceCollectionResponse", "`next_cursor`, `previous_cursor`, `total_entries_limit`", "null: pages are by `limit` and `offset`, and `total_entries` is always exact"),
    ("DAGResponse", "`is_paused`, `is_stale`, `is_backfillable`, `timetable_periodic`, `timetable_partitioned`", "false: a DAG runs when it is called"),
    ("DAGResponse", "`next_dagrun_*`, `last_parsed_time`, `last_parse_duration`, `last_expired`", "null: nothing is scheduled by time; files are parsed when they change"),
    ("DAGDetailsResponse", "`default_args`, `template_search_path`, `owner_links`, `latest_dag_version`, `last_parsed`", "null: not part of what the server knows of a DAG"),
    ("DAGResponse", "`max_active_tasks`, `max_active_runs`", "what the author wrote: Airflow's configured defaults do not bind here, and are shown as 0 and null"),
    ("TaskResponse", "`extra_links`", "empty: links are made by code, which the server does not run"),
    ("VersionInfo", "`git_version`", "null"),
    ("PoolResponse, VariableResponse, ConnectionResponse", "`team_name`", "null: one team"),
)  # fmt: skip
"""What `tests/acceptance/contract` sees in the answers of a real server."""


def airflow_operations() -> dict[tuple[str, str], dict[str, Any]]:
    """Of Airflow's document, by method and path; references to bodies resolved."""
    name = "airflow/api_fastapi/core_api/openapi/v2-rest-api-generated.yaml"
    (path,) = (one for one in files("apache-airflow-core") or () if str(one) == name)
    document = yaml.load(path.read_text(), yaml.CSafeLoader)
    return {
        (method.upper(), path): {**operation, "body": _body(operation, document)}
        for path, operations in document["paths"].items()
        for method, operation in operations.items()
    }


def own_operations() -> dict[tuple[str, str], dict[str, Any]]:
    from dagcall.server.openapi import openapi_document
    from dagcall.server.routes import TABLE

    document = openapi_document(TABLE)
    return {
        (method.upper(), path): {**operation, "body": _body(operation, document)}
        for path, operations in document["paths"].items()
        for method, operation in operations.items()
        if path.startswith("/api/v2/")
    }


def lacking(airflow: dict[str, Any], own: dict[str, Any]) -> list[str]:
    """Query parameters and fields of the body that Airflow takes and this server does not."""
    parameters = [name for name in _query(airflow) if name not in _query(own)]
    return [*parameters, *(name for name in airflow["body"] if name not in own["body"])]


def page() -> str:
    from dagcall.server.api_v2.unsupported import UNSUPPORTED

    reasons = {(method, re.sub(r":path\}", "}", path)): reason for (method, path), reason in UNSUPPORTED.items()}
    theirs, ours = airflow_operations(), own_operations()
    sections: dict[str, list[str]] = {}
    counts: Counter[str] = Counter()
    for key, operation in theirs.items():
        if key in ours and key in reasons:
            raise SystemExit(f"{' '.join(key)} is supported, and stands among what is not")
        if key not in ours and key not in reasons:
            raise SystemExit(f"{' '.join(key)} of Airflow is neither supported nor refused with a reason")
        if key in reasons:
            verdict, text = "501", f"{reasons[key][:1].upper()}{reasons[key][1:]}."
        elif always := REFUSED_CHANGES.get(key):
            verdict, text = "501", always
        else:
            names = lacking(operation, ours[key])
            verdict = "subset" if names or key in LIMITED else "same"
            without = f"Without {', '.join(f'`{name}`' for name in _grouped(names))}." if names else ""
            text = " ".join(part for part in (without, LIMITED.get(key, ""), MORE.get(key, "")) if part)
        counts[verdict] += 1
        tag = operation["tags"][0]
        sections.setdefault(tag, []).append(f"| `{key[0]} {key[1].removeprefix('/api/v2')}` | {verdict} | {text} |")
    if others := reasons.keys() - theirs.keys() | (ours.keys() - theirs.keys()):
        raise SystemExit(f"Airflow has no such endpoints: {sorted(others)}")
    return TEMPLATE.format(
        airflow=version("apache-airflow"),
        figures=f"{len(theirs)} endpoints: "
        + ", ".join(f"{count} {name}" for name, count in counts.most_common())
        + ".",
        fields="\n".join(f"| {' | '.join(row)} |" for row in FIELDS),
        sections="\n".join(
            f"## {tag}\n\n| endpoint | | |\n|---|---|---|\n" + "\n".join(rows) + "\n" for tag, rows in sections.items()
        ),
    )


_RUN = "/api/v2/dags/{dag_id}/dagRuns/{dag_run_id}"
LIMITED = {
    ("PATCH", _RUN): "Of the states only `failed`, which cancels the run.",
    ("PATCH", _RUN + "/taskInstances/{task_id}"): "Notes; not `new_state`.",
    ("PATCH", _RUN + "/taskInstances/{task_id}/{map_index}"): "Notes; not `new_state`.",
    ("POST", "/api/v2/dags/{dag_id}/dagRuns"): (
        "No data interval or partition of the caller's choice; `run_after` not in the future."
    ),
    ("POST", "/api/v2/assets/{asset_id}/materialize"): (
        "No data interval or partition of the caller's choice; `run_after` not in the future."
    ),
    ("GET", _RUN + "/taskInstances"): "Over at most 1,000 runs, else 501.",
    ("GET", _RUN + "/taskInstances/{task_id}/xcomEntries"): "Over at most 1,000 runs, else 501.",
    ("GET", _RUN + "/taskInstances/{task_id}/xcomEntries/{xcom_key}"): "Not `deserialize=true`.",
}
"""What the documents cannot tell."""
MORE = {
    ("GET", _RUN + "/wait"): "And more: `early=true` ends it with the outcome, while the run may go on.",
}
REFUSED_CHANGES = {
    ("PATCH", "/api/v2/dags/{dag_id}"): "DAGs are never paused, and run when they are called.",
}
"""Routes that exist to say so."""


def _grouped(names: list[str]) -> list[str]:
    """The four bounds of a range as one."""
    return list(dict.fromkeys(re.sub(r"_(gte|gt|lte|lt)$", "_*", name) for name in names))


def _query(operation: dict[str, Any]) -> list[str]:
    return [one["name"] for one in operation.get("parameters", ()) if one["in"] == "query"]


def _body(operation: dict[str, Any], document: dict[str, Any]) -> list[str]:
    """Names of the fields that it takes."""
    content = operation.get("requestBody", {}).get("content", {}).get("application/json", {})
    return _fields(content.get("schema", {}), document)


def _fields(schema: dict[str, Any], document: dict[str, Any]) -> list[str]:
    if "$ref" in schema:
        return _fields(document["components"]["schemas"][schema["$ref"].rpartition("/")[2]], document)
    return [
        *schema.get("properties", {}),
        *(name for one in schema.get("anyOf", ()) for name in _fields(one, document)),
    ]


def main(arguments: list[str]) -> int:
    sys.path.insert(0, str(ROOT / "src"))
    text = page()
    if arguments == ["--check"]:
        current = PAGE.exists() and PAGE.read_text() == text
        if not current:
            print(f"{PAGE} is not current: run scripts/api_compatibility_page.py", file=sys.stderr)
        return 0 if current else 1
    PAGE.write_text(text)
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
