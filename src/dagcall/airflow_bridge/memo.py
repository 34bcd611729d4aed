"""Costly calls of the Task SDK, memoised.

Measured per task (median, trivial `@task`): building `TypeAdapter(JsonValue)` for each template field 0.8 ms;
`jsonschema.validate` checking an empty schema against the metaschema 0.2 ms for each param; `conf.get*` walking its
sources 0.1 ms; for its six log lines, matching every key of every record against the list of sensitive names 0.3 ms,
walking the records for secrets 0.1 ms, and searching their values for JSON web tokens 0.05 ms; for a mapped task,
signatures and copies of params 0.2 ms.

Each stand-in gives the same answers. They are installed only into the Task SDK versions they were read against
(`SUPPORTED`), and only where the name to replace is what it was (`private_names`); otherwise stock code runs, slower.
`logline` and `unmapping` are two more, with modules of their own.

`[dagcall] memoise = False` leaves Airflow untouched.
"""

import copy
import functools
import inspect
import logging
import types
from collections.abc import Callable, Collection
from typing import Any

from dagcall.airflow_bridge.private_names import usable
from dagcall.airflow_bridge.settings import conf
from dagcall.options import Options

SUPPORTED = ("1.3.",)
_PLAIN = frozenset({str, int, float, bool, type(None)})
_CONF_METHODS = ("get", "getboolean", "getint", "getfloat", "getlist", "getmandatorylist", "has_option")


def is_wanted() -> bool:
    """By the configuration, and possible with this Task SDK."""
    import importlib.metadata

    version = importlib.metadata.version("apache-airflow-task-sdk")
    return version.startswith(SUPPORTED) and conf.getboolean("dagcall", "memoise", fallback=Options.memoise)


def install() -> list[str]:
    """Replace what can be replaced. Returns what was, for `dagcall doctor` and tests."""
    if not is_wanted():
        return []
    installed = []
    for name, installer in _INSTALLERS.items():
        if usable(name) and installer():
            installed.append(name)
    _configuration()
    return [*installed, "conf"]


def _type_adapter() -> bool:
    from airflow.sdk.execution_time import task_runner
    from pydantic import TypeAdapter

    if getattr(task_runner, "TypeAdapter", None) is not TypeAdapter:
        return False
    task_runner.TypeAdapter = functools.lru_cache(maxsize=64)(TypeAdapter)  # type: ignore[attr-defined,assignment]
    return True


def _validate() -> bool:
    import jsonschema
    from jsonschema.exceptions import best_match
    from jsonschema.validators import validator_for

    stock: Callable[..., None] = jsonschema.validate
    checked: dict[int, Any] = {}

    def validate(instance: Any, schema: Any, cls: Any = None, *args: Any, **kwargs: Any) -> None:
        if cls is not None or args or not isinstance(schema, dict):
            return stock(instance, schema, cls, *args, **kwargs)
        if not schema:
            return None  # the empty schema is valid and admits everything
        validator_class = validator_for(schema)
        # By identity, with a reference that keeps the identity from being reused.
        if checked.get(id(schema)) is not schema:
            validator_class.check_schema(schema)
            if len(checked) > 4096:
                checked.clear()
            checked[id(schema)] = schema
        error = best_match(validator_class(schema, **kwargs).iter_errors(instance))
        if error is not None:
            raise error
        return None

    jsonschema.validate = validate
    return True


def _hostname() -> bool:
    from airflow.sdk.execution_time import task_runner

    if not hasattr(task_runner, "get_hostname"):
        return False
    task_runner.get_hostname = functools.cache(task_runner.get_hostname)
    return True


def _masker() -> bool:
    from airflow.sdk._shared.secrets_masker import _secrets_masker

    masker = _secrets_masker()
    stock = getattr(masker, "should_hide_value_for_key", None)
    if stock is None:
        return False
    cached = functools.lru_cache(maxsize=4096)(stock)
    masker.should_hide_value_for_key = lambda name: cached(name) if isinstance(name, str) else stock(name)  # type: ignore[method-assign]
    if hasattr(masker, "replacer"):
        _shallow_redact(masker)
    return True


def _shallow_redact(masker: Any) -> None:
    """Most log records and rendered fields are one level of plain values under harmless names: a look at each
    string tells that there is nothing to redact, and that the walk would give back the same."""
    from airflow.sdk.execution_time.task_runner import RuntimeTaskInstance

    stock = masker.redact
    hides = masker.should_hide_value_for_key
    # Objects are not looked into by the walk either; these are in the runner's "Pushing xcom", and in every record of
    # Python's own logging.
    left_alone = _PLAIN | {RuntimeTaskInstance, logging.LogRecord}

    @functools.lru_cache(maxsize=4096)
    def are_harmless_names(*names: Any) -> bool:
        return not any(map(hides, names))

    def are_harmless(values: Collection[Any]) -> bool:
        if not left_alone.issuperset(map(type, values)):
            return False
        if masker.replacer is None:
            return True
        # In one search: it could find too much, across two values, but nothing less.
        return masker.replacer.search("\n".join([value for value in values if type(value) is str])) is None

    def redact(item: Any, name: str | None = None, max_depth: int | None = None, replacement: str = "***") -> Any:
        if max_depth is None and not (name and hides(name)):
            kind = type(item)
            if kind is dict:
                if are_harmless(item.values()) and are_harmless_names(*item):
                    return item.copy()
            elif kind is list:
                if are_harmless(item):
                    return item.copy()
            elif are_harmless((item,)):
                return item
        return stock(item, name, max_depth, replacement)

    masker.redact = redact


def _jwt() -> bool:
    from airflow.sdk._shared.logging import structlog as module

    stock = getattr(module, "redact_jwt", None)
    if stock is None or not getattr(getattr(module, "JWT_PATTERN", None), "pattern", "").startswith("eyJ"):
        return False

    def redact_jwt(logger: Any, method_name: Any, event_dict: Any) -> Any:
        if any(isinstance(value, str) and "eyJ" in value for value in event_dict.values()):
            return stock(logger, method_name, event_dict)
        return event_dict

    module.redact_jwt = redact_jwt
    module.structlog_processors.cache_clear()
    return True


def _signature() -> bool:
    """A mapped `@task` asks for its function's signature five times for each instance."""
    from airflow.sdk.bases import decorator

    if getattr(decorator, "inspect", None) is not inspect:
        return False
    decorator.inspect = _Inspect("inspect")  # type: ignore[attr-defined]
    return True


class _Inspect(types.ModuleType):
    """The module `inspect`, which remembers the signatures of functions."""

    def __getattr__(self, name: str) -> Any:
        return getattr(inspect, name)

    @staticmethod
    def signature(function: Callable[..., Any], **options: Any) -> inspect.Signature:
        if options or type(function) is not types.FunctionType:
            return inspect.signature(function, **options)
        return _signature_of(function)


_signature_of = functools.lru_cache(maxsize=1024)(inspect.signature)


def _params() -> bool:
    """Each of the four constructors of a mapped `@task` copies the DAG's params, schemas and all."""
    from airflow.sdk.definitions.param import Param, ParamsDict

    if "__deepcopy__" in vars(Param) or not hasattr(ParamsDict, "__deepcopy__"):
        return False

    def deepcopy(self: Any, memo: dict[int, Any] | None) -> ParamsDict:
        fresh = {}
        for name, param in self.items():
            if type(param) is Param and vars(param).keys() == _PARAM_STATE:
                clone = object.__new__(Param)
                state = clone.__dict__
                for key, value in vars(param).items():
                    state[key] = value if type(value) in _PLAIN else _copied(value, memo)
                fresh[name] = clone
            else:
                fresh[name] = copy.deepcopy(param, memo)
        return ParamsDict(fresh, self.suppress_exception)

    ParamsDict.__deepcopy__ = deepcopy  # type: ignore[method-assign]
    return True


_PARAM_STATE = {"value", "description", "schema", "source"}


def _copied(value: Any, memo: dict[int, Any] | None) -> Any:
    """`copy.deepcopy`, quicker for a flat dict, which most schemas are."""
    if type(value) is dict and _PLAIN.issuperset(map(type, value.values())):
        return value.copy()
    return copy.deepcopy(value, memo)


def _spans() -> bool:
    """Nine functions of the runner ask how detailed the current trace is to be; mostly there is none."""
    from airflow.sdk.execution_time.task_runner import detail_span
    from opentelemetry import trace

    stock = getattr(detail_span, "_make_ctx", None)
    if stock is None:
        return False

    def make_context(self: Any) -> Any:
        return trace.INVALID_SPAN if trace.get_current_span() is trace.INVALID_SPAN else stock(self)

    detail_span._make_ctx = make_context  # type: ignore[method-assign]
    return True


def _listeners() -> bool:
    """A hook that no listener implements is called through two layers that log the call for debugging."""
    from airflow.sdk.listener import get_listener_manager

    manager = getattr(get_listener_manager(), "pm", None)
    stock = getattr(manager, "_inner_hookexec", None)
    if manager is None or stock is None:
        return False

    def execute(name: str, implementations: Any, arguments: Any, first_result: bool) -> Any:
        if not implementations:
            return None if first_result else []
        return stock(name, implementations, arguments, first_result)

    manager._inner_hookexec = execute
    return True


_INSTALLERS: dict[str, Callable[[], bool]] = {
    "TypeAdapter": _type_adapter,
    "jsonschema.validate": _validate,
    "hostname": _hostname,
    "secrets masker": _masker,
    "redact_jwt": _jwt,
    "signatures": _signature,
    "copies of params": _params,
    "spans": _spans,
    "listeners": _listeners,
}


def _configuration() -> None:
    """Airflow reads its configuration once a process as far as users can tell; here that is made true."""
    from airflow.configuration import conf as core_conf

    for parser in {id(conf): conf, id(core_conf): core_conf}.values():
        for name in _CONF_METHODS:
            if hasattr(parser, name):
                setattr(parser, name, _memoised(getattr(parser, name)))
        if hasattr(parser, "set"):
            parser.set = _clearing(parser.set, parser)


def _memoised(method: Callable[..., Any]) -> Callable[..., Any]:
    cached = functools.lru_cache(maxsize=2048, typed=True)(method)  # as fallbacks, 1, 1.0 and True are equal

    @functools.wraps(method)
    def wrapper(*args: Any, **kwargs: Any) -> Any:
        try:
            value = cached(*args, **kwargs)
        except TypeError:  # an unhashable argument, such as a list as fallback
            return method(*args, **kwargs)
        return list(value) if isinstance(value, list) else value

    wrapper.cache_clear = cached.cache_clear  # type: ignore[attr-defined]
    return wrapper


def _clearing(method: Callable[..., Any], parser: Any) -> Callable[..., Any]:
    @functools.wraps(method)
    def wrapper(*args: Any, **kwargs: Any) -> Any:
        result = method(*args, **kwargs)
        for name in _CONF_METHODS:
            clear = getattr(getattr(parser, name, None), "cache_clear", None)
            if clear is not None:
                clear()
        return result

    return wrapper
