"""A deployment's plugin: a macro, a listener."""

import house_listener
from airflow.plugins_manager import AirflowPlugin


def shout(text):
    return text.upper()


class HousePlugin(AirflowPlugin):
    name = "house"
    macros = [shout]  # noqa: RUF012
    listeners = [house_listener]  # noqa: RUF012
