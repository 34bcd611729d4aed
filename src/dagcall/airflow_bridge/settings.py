"""Airflow's configuration, and the part of it that the coordinator needs as plain data."""

import os
from typing import Any

from airflow.sdk.configuration import conf

__all__ = ["conf", "for_coordinator", "forget_secrets", "has_custom_xcom_backend"]

_BASE_XCOM = "airflow.sdk.bases.xcom.BaseXCom"
_BASE_XCOM_OLD = "airflow.models.xcom.BaseXCom"

_SECRET_PREFIXES = ("AIRFLOW__DATABASE__", "AIRFLOW__API_AUTH__", "AIRFLOW__CELERY__", "AIRFLOW__DAGCALL__SECRET")
_SECRET_NAMES = frozenset(
    {"AIRFLOW__CORE__SQL_ALCHEMY_CONN", "AIRFLOW__API__SECRET_KEY", "AIRFLOW__WEBSERVER__SECRET_KEY", "DAGCALL_TOKEN"}
)


def for_coordinator() -> dict[str, Any]:
    """Plain data: the coordinator imports no Airflow and reads no airflow.cfg."""
    import airflow

    return {
        "airflow_version": airflow.__version__,
        "base_log_folder": conf.get("logging", "base_log_folder"),
        "allowed_run_id_pattern": conf.get("scheduler", "allowed_run_id_pattern"),
        "dagcall": conf.getsection("dagcall") or {},
        "maximum_page_limit": conf.getint("api", "maximum_page_limit"),
        "fallback_page_limit": conf.getint("api", "fallback_page_limit"),
    }


def has_custom_xcom_backend() -> bool:
    """True when `[core] xcom_backend` is not Airflow's own."""
    return conf.get("core", "xcom_backend", fallback=_BASE_XCOM) not in (_BASE_XCOM, _BASE_XCOM_OLD, "")


def forget_secrets() -> None:
    """Take the metadata database's address and signing keys out of the environment that tasks inherit."""
    for name in list(os.environ):
        if name.startswith(_SECRET_PREFIXES) or name in _SECRET_NAMES:
            del os.environ[name]
