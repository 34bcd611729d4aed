"""Topic `installation`: what kind of Airflow this is."""

from typing import Any

from dagcall.airflow_bridge.topics import question


@question
def describe() -> dict[str, Any]:
    """Nothing of it is secret."""
    import airflow
    from airflow.configuration import conf

    return {
        "airflow_version": airflow.__version__,
        "auth_manager": conf.get("core", "auth_manager"),
        "airflow_home": conf.airflow_config_parser_home if hasattr(conf, "airflow_config_parser_home") else "",
    }
