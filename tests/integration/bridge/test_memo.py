"""The memoised calls of the Task SDK answer as the stock ones do."""

import json
import os
import subprocess
import sys
from pathlib import Path

ASK = """
import json, sys
from datetime import datetime

from dagcall.airflow_bridge import memo

installed = memo.install() if sys.argv[1] == "memoised" else []

import jsonschema
from airflow.configuration import conf as core
from airflow.sdk import Param
from airflow.sdk._shared.logging import structlog as logging
from airflow.sdk._shared.secrets_masker import mask_secret, redact, should_hide_value_for_key
from airflow.sdk.configuration import conf
from airflow.sdk.execution_time import task_runner
from jsonschema import FormatChecker

found = {}

def note(name, call):
    for again in ("first", "again"):
        try:
            value = call()
        except Exception as error:
            value = f"{type(error).__name__}: {error}"
        found[f"{name} {again}"] = repr(value)

for parser, which in ((conf, "sdk"), (core, "core")):
    note(f"{which} get", lambda: parser.get("core", "dags_folder"))
    note(f"{which} missing", lambda: parser.get("core", "no_such_option"))
    note(f"{which} fallback", lambda: parser.get("core", "no_such_option", fallback="f"))
    for fallback in (True, 1, 1.0, "1", None, [], {}):
        note(f"{which} fallback {fallback!r}", lambda: parser.get("no_such", "option", fallback=fallback))
    note(f"{which} boolean", lambda: parser.getboolean("core", "load_examples"))
    note(f"{which} wrong boolean", lambda: parser.getboolean("core", "dags_folder"))
    note(f"{which} int", lambda: parser.getint("core", "parallelism"))
    note(f"{which} wrong int", lambda: parser.getint("core", "dags_folder"))
    note(f"{which} int fallback", lambda: parser.getint("no_such", "option", fallback=7))
    note(f"{which} float", lambda: parser.getfloat("core", "dagbag_import_timeout"))
    note(f"{which} has", lambda: [parser.has_option("core", "parallelism"), parser.has_option("core", "nothing")])
    note(f"{which} list", lambda: parser.getlist("core", "no_such", fallback=["a"]))
    def change(parser=parser):
        parser.getlist("core", "no_such", fallback=["a"]).append("b")
        return parser.getlist("core", "no_such", fallback=["a"])
    note(f"{which} changed list", change)
    parser.set("core", "parallelism", "77")
    note(f"{which} after set", lambda: parser.getint("core", "parallelism"))

SCHEMAS = [
    {}, {"type": "integer"}, {"type": ["null", "string"], "format": "date"}, {"enum": [1, "a"]},
    {"type": "object", "properties": {"a": {"type": "integer"}}, "required": ["a"]}, {"type": "nonsense"},
    {"$schema": "http://json-schema.org/draft-07/schema#", "type": "array", "items": [{"type": "integer"}]}, True,
]
for number, schema in enumerate(SCHEMAS):
    for value in (1, "a", None, "2024-01-01", {"a": 1}, {"a": "x"}, {}, [1], ["x"], True, 1.5):
        note(f"schema {number} {value!r}",
             lambda: jsonschema.validate(value, schema, format_checker=FormatChecker()))
        note(f"positional {number} {value!r}", lambda: jsonschema.validate(value, schema))
        if isinstance(schema, dict):
            note(f"param {number} {value!r}", lambda: Param(value, **schema).resolve())
note("param required", lambda: Param(type="string").resolve())

for name in ("password", "PASSWORD", "api_key", "token", "region", "", 5, None, "authorization_header"):
    note(f"hide {name!r}", lambda: should_hide_value_for_key(name))
    note(f"redact {name!r}", lambda: redact({name: "value", "deep": [{"secret": "x", "n": 1}]}))
mask_secret("hunter2-secret")
note("masked", lambda: redact("it is hunter2-secret"))
for value in (
    ["a", "hunter2-secret"], {"a": "hunter2-secret", "b": 1}, {"a": "hunter2-", "b": "secret"}, ["hunter2-", "secret"],
    {"password": None}, {1: "a", None: "b"}, {"a": ("hunter2-secret",)}, [["hunter2-secret"]], {"a": {"b"}}, [], {},
    "token", b"hunter2-secret", 5, {"token": "t", "n": 1}, ["x" * 500, "hunter2-secret" * 3],
):
    note(f"redact value {value!r}", lambda: redact(value))
    note(f"redact value {value!r} of password", lambda: redact(value, "password"))
    note(f"redact value {value!r} of name", lambda: redact(value, "name"))

import logging as python_logging
record = python_logging.makeLogRecord({"msg": "hunter2-secret", "password": "p"})
note("redact a record", lambda: (redact({"_record": record, "event": "x"})["_record"] is record, vars(record)["msg"]))
note("redact beside a record", lambda: redact({"_record": record, "event": "hunter2-secret", "password": "x"})["event"])

import copy
from airflow.sdk.definitions.param import ParamsDict

class OwnParam(Param):
    pass

params = ParamsDict({
    "plain": 1, "typed": Param("a", type="string", description="d"), "list": Param([1, [2]], type="array"),
    "deep": Param(None, type=["null", "object"], properties={"a": {"type": "integer"}}), "own": OwnParam(2),
    "required": Param(type="string"),
})
params._fill_missing_param_source("dag")

def copied():
    fresh = copy.deepcopy(params)
    shown = {name: (type(param).__name__, vars(param)) for name, param in fresh.items()}
    shared = [name for name, param in fresh.items() if param is params.get_param(name)]
    inner = fresh.get_param("list").value[1] is params.get_param("list").value[1]
    schema = fresh.get_param("deep").schema["properties"] is params.get_param("deep").schema["properties"]
    return shown, shared, inner, schema, type(fresh).__name__, fresh.suppress_exception

note("params", copied)

import inspect
from airflow.sdk.bases import decorator

def function(a, b: int = 1, *c, d=None, **e): ...

class Callable:
    def __call__(self, x): ...

for one in (function, Callable(), Callable, len, lambda: 0, 5):
    name = getattr(one, "__name__", type(one).__name__)
    note(f"signature {name}", lambda: decorator.inspect.signature(one))
    note(f"signature {name} unwrapped", lambda: decorator.inspect.signature(one, follow_wrapped=False))
note("inspect", lambda: [decorator.inspect.Parameter.empty is inspect.Parameter.empty, decorator.inspect.isclass(int)])

from airflow.sdk.listener import get_listener_manager
from opentelemetry import trace
from pluggy import HookimplMarker

class Listener:
    heard = []
    @HookimplMarker("airflow")
    def on_starting(self, component):
        self.heard.append(component)
        return "heard"

hooks = get_listener_manager()
note("hook of nobody", lambda: hooks.hook.on_starting(component="a"))
hooks.pm.register(Listener())
note("hook of a listener", lambda: (hooks.hook.on_starting(component="b"), Listener.heard))
note("other hook", lambda: hooks.hook.before_stopping(component="c"))

@task_runner.detail_span("s")
def spanned(a):
    return a, trace.get_current_span() is trace.INVALID_SPAN

note("no trace", lambda: spanned(1))
context = trace.SpanContext(1, 2, is_remote=False, trace_state=trace.TraceState([("airflow_task_span_detail_level", "2")]))
with trace.use_span(trace.NonRecordingSpan(context)):
    note("in a trace", lambda: (spanned(2), trace.get_current_span().get_span_context().span_id))

TOKEN = "eyJhbGciOiJIUzI1NiJ9.eyJzdWIiOiIxIn0.c2lnbmF0dXJlc2lnbmF0dXJl"
for event in ("nothing", TOKEN, f"Bearer {TOKEN}!", "eyJ", 5, None):
    note(f"token {event!r}", lambda: logging.redact_jwt(None, "info", {"event": event, "n": 1}))

adapter = task_runner.TypeAdapter
from pydantic import JsonValue
for value in ({"a": [1, None, 1.5]}, {"a": object}, {"a": {1, 2}}, datetime(2024, 1, 1), "x", float("nan")):
    note(f"json {value!r}", lambda: adapter(JsonValue).validate_python(value))
note("hostname", lambda: task_runner.get_hostname())

json.dump({"installed": installed, "found": found}, open(sys.argv[2], "w"))
"""


def test_same_answers(tmp_path: Path) -> None:
    reports = {}
    environment = {name: value for name, value in os.environ.items() if not name.startswith("AIRFLOW")} | {
        "AIRFLOW__CORE__DAGS_FOLDER": str(tmp_path),
        "AIRFLOW__CORE__LOAD_EXAMPLES": "False",
    }
    running = {
        which: subprocess.Popen(
            [sys.executable, "-c", ASK, which, str(tmp_path / f"{which}.json")],
            env=environment | {"AIRFLOW_HOME": str(tmp_path / which)},
            stderr=subprocess.PIPE,
            text=True,
        )
        for which in ("stock", "memoised")
    }
    for which, process in running.items():
        _, messages = process.communicate(timeout=60)
        assert process.returncode == 0, messages[-3000:]
        reports[which] = json.loads((tmp_path / f"{which}.json").read_text())
    stock, memoised = reports["stock"]["found"], reports["memoised"]["found"]
    assert {name: (stock[name], memoised[name]) for name in stock if stock[name] != memoised[name]} == {}
    assert len(stock) > 400
    assert set(reports["memoised"]["installed"]) == {
        "TypeAdapter",
        "jsonschema.validate",
        "hostname",
        "secrets masker",
        "redact_jwt",
        "signatures",
        "copies of params",
        "spans",
        "listeners",
        "conf",
    }
