"""What replaces calls of the Task SDK for speed does what they do: log records, and operators of mapped tasks."""

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

RECORDS = """
import datetime, decimal, enum, io, json, logging, sys, uuid
import structlog
from airflow.sdk._shared.secrets_masker import mask_secret
from airflow.sdk.execution_time.task_runner import RuntimeTaskInstance
from airflow.sdk.log import configure_logging
from structlog.contextvars import bind_contextvars

from dagcall.airflow_bridge import memo
from dagcall.airflow_bridge.logline import fuse

memo.install()
mask_secret("hunter2-secret")
output = io.BytesIO()
configure_logging.__wrapped__(json_output=True, output=output, sending_to_supervisor=False)
configuration = structlog.get_config()
stock = list(configuration["processors"])
fused = fuse(stock)
assert len(fused) == 1, "the chain is not the expected one"
bind_contextvars(dag_id="d", task_id="t", map_index=-1, try_number=1, odd=None)

class Colour(enum.Enum):
    RED = "red"

class Odd:
    def __repr__(self):
        return "odd hunter2-secret"

TOKEN = "eyJhbGciOiJIUzI1NiJ9.eyJzdWIiOiIxIn0.c2lnbmF0dXJlc2lnbmF0dXJl"
ti = RuntimeTaskInstance.model_construct(id=uuid.UUID(int=1), task_id="t", dag_id="d", run_id="r", try_number=1)
EVENTS = [
    ("info", ("plain",), {}),
    ("warning", ("with values",), {"n": 1, "x": 1.5, "none": None, "yes": True, "text": "Zo\\u00eb"}),
    ("info", ("args %s %d", "a", 1), {}),
    ("info", ("a dict %s", {"a": 1}), {}),
    ("info", ("wrong args %d", "a"), {}),
    ("error", ("masked hunter2-secret",), {"v": "x hunter2-secret y"}),
    ("info", ("key",), {"password": "p", "api_key": {"deep": "q"}, "token": None}),
    ("info", (f"token {TOKEN}",), {"header": f"Bearer {TOKEN}"}),
    ("info", ("nested",), {"list": [1, "hunter2-secret"], "dict": {"password": "p"}, "tuple": (1,), "set": {1}}),
    ("info", ("objects",), {"colour": Colour.RED, "when": datetime.date(2024, 1, 2), "odd": Odd(), "d": decimal.Decimal(1)}),
    ("info", ("Pushing xcom",), {"ti": ti}),
    ("info", ("bytes",), {"raw": b"abc"}),
    ("info", ("lone \\udcff",), {}),
    ("info", ("lone in a list",), {"names": ["\\udcff"]}),
    ("info", ("own keys",), {"logger": "mine", "level": "strange", "timestamp": "never", "dag_id": "other"}),
    ("info", ("logger name",), {"logger_name": "named"}),
    ("info", ("exception",), {"exc_info": True}),
    ("exception", ("exception",), {}),
    ("info", ("stack",), {"stack_info": True}),
    ("warn", ("old name",), {}),
    ("critical", ("end",), {}),
    ("info", (None,), {}),
    ("info", (5,), {}),
    ("debug", ("not logged",), {}),
]

def lines(processors):
    structlog.configure(**{**configuration, "processors": processors, "cache_logger_on_first_use": False})
    found = []
    for name in (None, "some.logger"):
        log = structlog.get_logger(logger_name=name) if name else structlog.get_logger("task")
        for method, args, values in EVENTS:
            output.seek(0)
            output.truncate()
            try:
                raise ValueError("hunter2-secret in an exception")
            except ValueError:
                try:
                    getattr(log, method)(*args, **values)
                except Exception as error:
                    output.write(f"{type(error).__name__}: {error}".encode())
            found.append(output.getvalue().decode())
    return found

from dagcall.airflow_bridge.logline import quicken

(handler,) = logging.getLogger().handlers
formatters = (handler.formatter, quicken(handler.formatter))
assert formatters[0] is not formatters[1], "the formatter is not the expected one"
RECORDS = [
    ("plain", ()), ("args %s %d", ("a", 1)), ("one dict %s", ({"a": 1},)), ("named %(a)s", ({"a": 1},)),
    ("wrong %d", ("a",)), ("too many", ("a",)), ("too few %s %s", ("a",)), ("100%", ()), ("masked %s", ("hunter2-secret",)),
    (f"token {TOKEN}", ()), ("token %s", (TOKEN,)), ("lone \\udcff", ()), (5, ()), (Odd(), ()), ("odd %s", (Odd(),)), ("", ()),
    ("two\\nlines", ()), ("a list %s", ([1, "hunter2-secret"],)),
]

def formatted(formatter):
    found = []
    for name in ("airflow.task", "some.logger", "root"):
        for level in (logging.INFO, logging.WARNING, logging.CRITICAL, 5):
            for message, args in RECORDS:
                for extra in ({}, {"exc_info": True}, {"stack_info": "a stack"}):
                    try:
                        raise ValueError("hunter2-secret in an exception")
                    except ValueError:
                        info = sys.exc_info() if "exc_info" in extra else None
                    record = logging.getLogger(name).makeRecord(
                        name, level, "/a/path/file.py", 7, message, args, info, sinfo=extra.get("stack_info"),
                        extra={"own": "value"} if level == logging.WARNING else None,
                    )
                    try:
                        found.append(formatter.format(record))
                    except Exception as error:
                        found.append(f"{type(error).__name__}: {error}")
    return found

json.dump([lines(stock), lines(fused), *map(formatted, formatters)], open(sys.argv[1], "w"))
"""

OPERATORS = """
import json, sys
from airflow.sdk import DAG, Param, TaskGroup, task
from airflow.sdk.definitions.mappedoperator import MappedOperator

from dagcall.airflow_bridge.restore import Pristine
from dagcall.airflow_bridge.unmapping import Unmapper

def noted(context):
    pass

with DAG("d", schedule=None, params={"q": "default", "deep": Param({"a": [1]}, type="object")}) as dag:
    @task
    def plain(x): ...

    @task(retries=2, executor_config={"k": [1]}, on_failure_callback=noted, params={"own": 1}, doc_md="doc")
    def rich(x, y=1, *, params=None, ti=None) -> dict: ...

    @task.short_circuit
    def other_class(x): ...

    @task(map_index_template="{{ x }}")
    def in_group(x): ...

    @task(trigger_rule="all_done", pool="p", queue="q", show_return_value_in_logs=False)
    def by_kwargs(a=0, b=0): ...

    plain.expand(x=[1, 2])
    rich.partial(y=2).expand(x=[[1], [2]])
    other_class.expand(x=[1, 2])
    by_kwargs.expand_kwargs([{"a": 1}, {"b": [2]}, {"a": 3, "b": 4}])
    with TaskGroup("group", default_args={"retries": 7}):
        in_group.expand(x=[1, 2])
    with TaskGroup("bare"):
        in_group.override(task_id="bare_one").expand(x=[1, 2])

with DAG("with_defaults", schedule=None, default_args={"y": 5, "retries": 3}) as other:
    @task
    def defaulted(x, y): ...

    defaulted.expand(x=[1, 2])

dags = {"d": dag, "with_defaults": other}
pristine = Pristine(dags)
unmapper = Unmapper(pristine.changing_attributes)
KWARGS = {
    "plain": [{"x": 1}, {"x": 2}, {"x": [3]}],
    "rich": [{"x": [1]}, {"x": [2]}],
    "other_class": [{"x": 1}],
    "group.in_group": [{"x": 1}, {"x": 2}],
    "bare.bare_one": [{"x": 1}, {"x": 2}],
    "by_kwargs": [{"a": 1}, {"b": [2]}, {"a": 3, "b": 4}, {"a": 5}],
    "defaulted": [{"x": 1}, {"x": 2}],
}

def shown(operator):
    found = {}
    for name, value in sorted(vars(operator).items()):
        if name == "_BaseOperator__init_kwargs":
            value = {key: value[key] for key in sorted(value)}
        found[name] = f"{type(value).__name__} {value!r}" + (
            str({key: vars(param) for key, param in value.items()}) if name == "params" else ""
        )
    return found

def spoil(operator):
    for value in vars(operator).values():
        if isinstance(value, list):
            value.append("spoilt")
        elif isinstance(value, dict):
            value["spoilt"] = "spoilt"
    operator.params["q"] = "of this run"
    operator.retries = 99
    operator.executor_config.setdefault("k", []).append("spoilt")

report = []
for round in range(2):
    for dag_id, one in dags.items():
        for task_id in one.task_ids:
            for number, op_kwargs in enumerate(KWARGS[task_id]):
                made = []
                for unmap in (MappedOperator.unmap, unmapper.unmap):
                    mapped = pristine.task(dag_id, task_id)
                    if dag_id == "d":
                        mapped.dag.params["q"] = mapped.params["q"] = f"run {number}"
                    operator = unmap(mapped, {"op_kwargs": op_kwargs})
                    made.append(shown(operator))
                    operator.op_kwargs = dict(operator.op_kwargs)
                    spoil(operator)
                report.append([f"{task_id} {op_kwargs}", *made])
templates = len(unmapper._templates)
json.dump([report, templates], open(sys.argv[1], "w"), default=repr)
"""


def report(script: str, folder: Path) -> Any:
    kept = {name: value for name, value in os.environ.items() if not name.startswith(("AIRFLOW", "PYTEST"))}
    done = subprocess.run(
        [sys.executable, "-c", script, str(folder / "report.json")],
        env=kept | {"AIRFLOW_HOME": str(folder), "AIRFLOW__CORE__LOAD_EXAMPLES": "False"},
        capture_output=True,
        text=True,
        timeout=60,
    )
    assert done.returncode == 0, done.stderr[-3000:]
    return json.loads((folder / "report.json").read_text())


def test_a_log_record_is_the_one_that_airflow_writes(tmp_path: Path) -> None:
    stock, fused, formatted, quickened = report(RECORDS, tmp_path)
    assert len(stock) == len(fused) > 40
    assert sum(line.startswith("{") for line in stock) > 36
    assert sum(line.startswith("{") for line in formatted) > 500
    for expected, found in zip(stock + formatted, fused + quickened, strict=True):
        assert without_time(found) == without_time(expected)


def without_time(line: str) -> Any:
    """A record's members in their order, but those of the context, whose order is that of a hash table."""
    if not line.startswith("{"):
        return line
    record = json.loads(line)
    assert record["timestamp"] == "never" or record.pop("timestamp").endswith("Z")
    return [name for name in record if name not in ("dag_id", "task_id", "map_index", "try_number", "odd")], record


def test_an_operator_of_a_mapped_task_is_the_one_that_airflow_constructs(tmp_path: Path) -> None:
    instances, templates = report(OPERATORS, tmp_path)
    assert len(instances) > 30
    assert templates == 6
    for which, expected, found in instances:
        assert found == expected, which
