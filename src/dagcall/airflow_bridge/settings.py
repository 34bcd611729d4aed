"""Airflow's configuration, and the part of it that the coordinator needs as plain data."""

import functools
import os
from dataclasses import fields
from typing import Any

from airflow.sdk.configuration import conf

from dagcall import options

__all__ = [
    "conf",
    "for_coordinator",
    "has_custom_xcom_backend",
    "has_secrets_backend",
    "inherits_airflow_limits",
    "inline_limit",
    "max_map_length",
]

AIRFLOWS_SERVICE = "Airflow"
"""The default of `otel_service`, which nobody has chosen."""
IMPORT_GRACE = 5.0
"""The most seconds that a file has to end after `[core] dagbag_import_timeout`."""

LOCAL_BUNDLE = "airflow.dag_processing.bundles.local.LocalDagBundle"

_KNOWN = {*options.NAMES, *(f"{name}_{form}" for name in options.SENSITIVE for form in ("cmd", "secret"))}


def for_coordinator() -> dict[str, Any]:
    """Plain data: the coordinator imports no Airflow and reads no airflow.cfg."""
    import airflow

    from dagcall.airflow_bridge import storage

    return {
        "airflow_version": airflow.__version__,
        "base_log_folder": conf.get("logging", "base_log_folder"),
        "allowed_run_id_pattern": conf.get("scheduler", "allowed_run_id_pattern"),
        "options": {one.name: conf.get("dagcall", one.name, fallback=None) for one in fields(options.Options)},
        "unknown_options": sorted(set(conf.getsection("dagcall") or ()) - _KNOWN),
        "bundles": _local_bundles(),
        "has_secrets_backend": has_secrets_backend(),
        "load_limit": _load_limit(),
        "result_storage": storage.root(),
        "default_pool_slots": conf.getint("core", "default_pool_task_slot_count"),
        "listeners": _listened_to(),
        "callback_limit": conf.getfloat("dag_processor", "dag_file_processor_timeout"),
        "inherits_airflow_limits": inherits_airflow_limits(),
        "parallelism": conf.getint("core", "parallelism"),
        "maximum_page_limit": conf.getint("api", "maximum_page_limit"),
        "fallback_page_limit": conf.getint("api", "fallback_page_limit"),
        "fernet_key": _fernet_key(),
        "otel_traces": _otel("traces"),
        "otel_metrics": _otel("metrics"),
        "sensitive_names": _sensitive_names(),
    }


def has_secrets_backend() -> bool:
    """Whether workers would search one before the environment: their own, or else Airflow's."""
    return any(conf.get(*option, fallback=None) for option in (("workers", "secrets_backend"), ("secrets", "backend")))


def _local_bundles() -> list[tuple[str, str]] | None:
    """Name and folder of each of Airflow's DAG bundles. None: some are not folders of this machine, or the configuration
    is none; then Airflow's own bundle manager is asked (`airflow_bridge.bundles`)."""
    from airflow.configuration import conf as core_conf

    try:
        configured = core_conf.getjson("dag_processor", "dag_bundle_config_list")
        assert isinstance(configured, list)
        return [_local_bundle(core_conf, **one) for one in configured]
    except Exception:
        return None


def _local_bundle(
    core_conf: Any, *, name: str, classpath: str, kwargs: dict[str, Any], **unknown: object
) -> tuple[str, str]:
    assert classpath == LOCAL_BUNDLE, classpath
    assert not unknown, unknown
    return name, os.path.expanduser(kwargs.get("path") or core_conf.get("core", "dags_folder"))


def _otel(section: str) -> dict[str, Any]:
    """As in `telemetry.configuration.Section`; empty: switched off."""
    if not conf.getboolean(section, "otel_on", fallback=False):
        return {}
    interval, port, service = (
        conf.get(section, name, fallback=None) for name in ("otel_interval_milliseconds", "otel_port", "otel_service")
    )
    return {
        "on": True,
        "host": conf.get(section, "otel_host", fallback=None),
        "port": int(port) if port else None,
        "ssl": conf.getboolean(section, "otel_ssl_active", fallback=False),
        "service": None if service == AIRFLOWS_SERVICE else service,
        "interval": float(interval) if interval else None,
    }


def _fernet_key() -> str:
    """By Airflow's own configuration: to the Task SDK's, the default of this setting is a template."""
    from airflow.configuration import conf as core_conf

    return core_conf.get("core", "fernet_key", fallback="") or ""


def _sensitive_names() -> list[str]:
    """Parts of names whose values Airflow does not show; none where the author switched that off."""
    from airflow.sdk._shared.secrets_masker import _secrets_masker

    if not conf.getboolean("core", "hide_sensitive_var_conn_fields"):
        return []
    masker = _secrets_masker()
    return sorted(masker.sensitive_variables_fields)


def _listened_to() -> list[str]:
    from dagcall.airflow_bridge.notices import listened_to

    return listened_to()


def inherits_airflow_limits() -> bool:
    """Whether limits that nobody wrote bind: `max_active_tasks_per_dag`, `max_active_runs_per_dag`, the slots of the
    `default_pool` and `parallelism`, as configured for Airflow."""
    return bool(conf.getboolean("dagcall", "inherit_airflow_limits", fallback=options.Options.inherit_airflow_limits))


@functools.cache
def inline_limit() -> int:
    """Bytes of JSON of a result; a larger one is given by reference."""
    return int(conf.getint("dagcall", "inline_limit", fallback=options.Options.inline_limit))


@functools.cache
def max_map_length() -> int:
    return int(conf.getint("core", "max_map_length", fallback=1024))


def _load_limit() -> float | None:
    """Seconds after which a file's import is ended from outside; None where Airflow's own limit is switched off.

    Airflow's limit raises in the importing code, so that its error is the file's. What does not heed it gets no more
    than the grace.
    """
    limit = conf.getfloat("core", "dagbag_import_timeout")
    return limit + min(limit, IMPORT_GRACE) if limit > 0 else None


def has_custom_xcom_backend() -> bool:
    """True when `[core] xcom_backend` is not Airflow's own, under whatever name the setting has it."""
    from airflow.sdk.bases.xcom import BaseXCom
    from airflow.sdk.execution_time.xcom import XCom

    return XCom is not BaseXCom
