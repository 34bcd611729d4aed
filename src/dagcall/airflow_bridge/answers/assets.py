"""What a task asks about assets and their events."""

from dagcall.airflow_bridge.conversation import Handler

HANDLERS: dict[type, Handler] = {}
