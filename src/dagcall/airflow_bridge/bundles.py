"""Topic `bundles`: Airflow's DAG bundles, fetched and refreshed by Airflow's own bundle manager.

They are made here, and not where DAG files are parsed, since what they need to fetch (the Connection of a git host, say)
only this process may read. What is told is where they are on this machine. Each is fetched, and refreshed, by one
question at a time. Errors are told without what may be secret in them: an address of git has a token in it easily.
"""

import logging
import threading
from collections import defaultdict
from typing import Any

from dagcall.airflow_bridge import metadata
from dagcall.airflow_bridge.topics import Refused, question

log = logging.getLogger("dagcall.airflow")

_bundles: dict[str, Any] = {}
"""Those that could be made, by name."""
_locks: dict[str, threading.Lock] = defaultdict(threading.Lock)


def begin(has_database: bool = True) -> None:
    if not has_database:
        metadata.use_no_database()


@question
def names() -> list[str]:
    """Of all that are configured, in that order."""
    from airflow.dag_processing.bundles.manager import DagBundlesManager
    from airflow.exceptions import AirflowConfigException

    try:
        return list(DagBundlesManager()._bundle_config)
    except (AirflowConfigException, ImportError) as error:
        raise Refused("config", f"[dag_processor] dag_bundle_config_list: {metadata.clean(str(error))}") from None


@question
def fetch(name: str) -> dict[str, Any]:
    """Fetch or refresh one: where it is now, or what has gone wrong."""
    from airflow.dag_processing.bundles.manager import DagBundlesManager

    return _fetched(DagBundlesManager(), name)


def _fetched(manager: Any, name: str) -> dict[str, Any]:
    with _locks[name]:
        told: dict[str, Any] = {"name": name, "refresh_interval": _interval(manager, name)}
        try:
            if (bundle := _bundles.get(name)) is None:
                bundle = manager.get_bundle(name)
                bundle.initialize()
                _bundles[name] = bundle
            else:
                bundle.refresh()
            return told | _described(bundle)
        except Exception as error:
            log.warning("bundle %r: %s", name, _told(error))
            return told | {"error": _told(error)}


def _described(bundle: Any) -> dict[str, Any]:
    from airflow.dag_processing.bundles.base import unpack_bundle_version

    version, _ = unpack_bundle_version(bundle.get_current_version(), bundle)
    return {
        "path": str(bundle.path),
        "version": version,
        "is_versioned": bool(bundle.supports_versioning),
        "refresh_interval": float(bundle.refresh_interval),
    }


def _interval(manager: Any, name: str) -> float:
    """Of a bundle that could not be made, too: then it is tried again."""
    from airflow.configuration import conf

    own = manager._bundle_config[name].kwargs.get("refresh_interval")
    return float(own if own is not None else conf.getint("dag_processor", "refresh_interval"))


def _told(error: Exception) -> str:
    return f"{type(error).__name__}: {metadata.clean(str(error))}"
