"""What an Airflow deployment gets from `pip install dagcall`: an Airflow provider.

Runs in Airflow's processes, never in the server's: `[dagcall]` in `airflow.cfg` and `airflow dagcall ...`
(`get_provider_info`, `commands`), `DagcallHook` and `CallDagOperator` for DAGs that call DAGs, and the plugin with the
**Call** view (`plugin`, `call_view`, `web/`). It is a client of the server and nothing more: it imports Airflow's public
parts, `dagcall.client` and the table of options. `airflow` imports `get_provider_info` at every start, and each of its
processes imports `plugin`, so both bring nothing that costs time. Names are imported when they are first used.
"""

from importlib import import_module
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from dagcall.provider.hook import DagcallHook
    from dagcall.provider.operator import CallDagOperator
    from dagcall.provider.trigger import CallDagTrigger

__all__ = ["CallDagOperator", "CallDagTrigger", "DagcallHook"]

_LAZY = {
    "CallDagOperator": "dagcall.provider.operator",
    "CallDagTrigger": "dagcall.provider.trigger",
    "DagcallHook": "dagcall.provider.hook",
}


def __getattr__(name: str) -> object:
    if name not in _LAZY:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(_LAZY[name]), name)
