"""What a task reports of itself: how it ended, what it skips, its rendered fields and map index."""

from typing import Any

import msgspec
from airflow.sdk.execution_time import comms as sdk

from dagcall.airflow_bridge.conversation import Conversation, Handler
from dagcall.airflow_bridge.settings import conf


def _finish(talk: Conversation, msg: Any) -> None:
    talk.outgoing.terminal = msg


def _succeed(talk: Conversation, msg: sdk.SucceedTask) -> None:
    talk.outgoing.terminal = msg
    if conf.getboolean("state_store", "clear_on_success"):  # as the execution API does when it takes the state in
        talk.ask("clear_task_states", talk.start.task_id, talk.start.map_index)


def _skip_downstream(talk: Conversation, msg: sdk.SkipDownstreamTasks) -> None:
    for entry in msg.tasks:
        talk.outgoing.skip.append((entry, -1) if isinstance(entry, str) else (entry[0], entry[1]))


def _rendered_fields(talk: Conversation, msg: sdk.SetRenderedFields) -> None:
    talk.outgoing.rendered_fields = msgspec.json.encode(msg.rendered_fields)


def _rendered_map_index(talk: Conversation, msg: sdk.SetRenderedMapIndex) -> None:
    talk.outgoing.rendered_map_index = msg.rendered_map_index


def _nothing(talk: Conversation, msg: Any) -> None:
    """A message that needs no action: the masking of secrets is done in this process, as are log descriptors."""


HANDLERS: dict[type, Handler] = {
    sdk.SucceedTask: _succeed,
    sdk.TaskState: _finish,
    sdk.RetryTask: _finish,
    sdk.RescheduleTask: _finish,
    sdk.DeferTask: _finish,
    sdk.AwaitInputTask: _finish,
    sdk.SkipDownstreamTasks: _skip_downstream,
    sdk.SetRenderedFields: _rendered_fields,
    sdk.SetRenderedMapIndex: _rendered_map_index,
    sdk.MaskSecret: _nothing,
    sdk.ResendLoggingFD: _nothing,
}
