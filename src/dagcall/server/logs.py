"""The server's own messages, on standard error: text, or one JSON object a line (`[dagcall] log_format`).

The fields are those of Airflow's JSON logs: `timestamp`, `level`, `logger`, `event`; then `dag_id`, `run_id` and `trace_id`
where a message is about a run, `exception`, and what a message brings as `extra={"fields": {...}}`.
"""

import json
import logging
import sys
from collections.abc import Callable
from datetime import UTC, datetime
from typing import Any, Final

from dagcall.model.ids import RunKey

TEXT: Final = "%(levelname)s %(name)s: %(message)s"


def begin() -> None:
    logging.basicConfig(level=logging.INFO, format=TEXT, stream=sys.stderr)
    logging.getLogger("watchfiles").setLevel(logging.WARNING)


def use_json(trace_id: Callable[[RunKey], str | None]) -> None:
    """`trace_id`: of a run, if it is part of a trace."""
    for handler in logging.getLogger().handlers:
        handler.setFormatter(JsonLines(trace_id))


class JsonLines(logging.Formatter):
    def __init__(self, trace_id: Callable[[RunKey], str | None]) -> None:
        super().__init__()
        self._trace_id = trace_id

    def format(self, record: logging.LogRecord) -> str:
        line: dict[str, Any] = {
            "timestamp": datetime.fromtimestamp(record.created, UTC).isoformat(timespec="microseconds"),
            "level": record.levelname.lower(),
            "logger": record.name,
            "event": record.getMessage(),
        }
        key = next((one for one in record.args or () if isinstance(one, RunKey)), None)
        if key is not None:
            line |= {"dag_id": key.dag_id, "run_id": key.run_id}
            if (trace_id := self._trace_id(key)) is not None:
                line["trace_id"] = trace_id
        line |= getattr(record, "fields", {})
        if record.exc_info:
            line["exception"] = self.formatException(record.exc_info)
        return json.dumps(line, ensure_ascii=False, default=str)
