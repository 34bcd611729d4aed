"""A file that must not be forked: its import leaves a thread behind."""

import threading

from airflow.sdk import dag
from waits import Countdown, Deferring

threading.Thread(target=threading.Event().wait, daemon=True).start()


@dag(schedule=None)
def unforkable():
    Deferring(task_id="t", trigger=Countdown(start=2))


unforkable()
