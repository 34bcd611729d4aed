"""Sensors in both modes: each of these DAGs also ends so in stock Airflow."""

from collections import Counter
from datetime import timedelta

from airflow.sdk import PokeReturnValue, dag, task
from airflow.sdk.exceptions import AirflowFailException, AirflowSkipException

CALLS = Counter()
QUICK = {"poke_interval": 0.05, "timeout": 60, "mode": "reschedule"}


@dag(schedule=None)
def rescheduled():
    @task.sensor(**QUICK)
    def third(ti=None, task_reschedule_count=0):
        print(f"poke {task_reschedule_count}")
        if task_reschedule_count == 0:
            ti.xcom_push("only_at_first", 1)
        if task_reschedule_count == 2:
            ti.xcom_push("at_last", 2)
        return PokeReturnValue(task_reschedule_count == 2, xcom_value=task_reschedule_count)

    @task
    def after(count, ti=None):
        return [
            count,
            ti.xcom_pull(task_ids="third", key="at_last"),
            ti.xcom_pull(task_ids="third", key="only_at_first"),
        ]

    after(third())


@dag(schedule=None)
def rescheduled_too_long():
    """A sensor's own timeout counts from its first reschedule and is never retried."""

    @task.sensor(poke_interval=0.05, timeout=0.1, mode="reschedule", retries=3, retry_delay=timedelta(0))
    def never():
        return False

    @task.sensor(poke_interval=0.05, timeout=0.1, mode="reschedule", soft_fail=True)
    def never_softly():
        return False

    @task(trigger_rule="all_done")
    def after():
        return "after"

    [never(), never_softly()] >> after()


@dag(schedule=None)
def rescheduled_and_retried():
    """A new try has a count, and a clock, of its own."""

    @task.sensor(**QUICK, retries=1, retry_delay=timedelta(0))
    def second_try(ti=None, task_reschedule_count=0):
        if ti.try_number == 1 and task_reschedule_count == 1:
            raise RuntimeError("the first try breaks at its second poke")
        return PokeReturnValue(task_reschedule_count == 1, xcom_value=[ti.try_number, task_reschedule_count])

    second_try()


@dag(schedule=None)
def rescheduled_ends():
    @task.sensor(**QUICK)
    def skips(task_reschedule_count=0):
        if task_reschedule_count:
            raise AirflowSkipException("enough")
        return False

    @task.sensor(**QUICK, retries=2, retry_delay=timedelta(0))
    def fails(task_reschedule_count=0):
        if task_reschedule_count:
            raise AirflowFailException("never again")
        return False

    @task.sensor(**QUICK, silent_fail=True)
    def survives(task_reschedule_count=0):
        if not task_reschedule_count:
            raise RuntimeError("only logged")
        return True

    @task.sensor(**QUICK, never_fail=True)
    def breaks_quietly():
        raise RuntimeError("a skip")

    skips()
    fails()
    survives()
    breaks_quietly()


@dag(schedule=None)
def rescheduled_map():
    @task.sensor(**QUICK)
    def wait(times, task_reschedule_count=0):
        return PokeReturnValue(task_reschedule_count >= times, xcom_value=task_reschedule_count)

    @task
    def total(counts):
        return sum(counts)

    total(wait.expand(times=[0, 1, 2]))


@dag(schedule=None)
def poked():
    @task.sensor(poke_interval=0.01, timeout=30, mode="poke", exponential_backoff=False)
    def third(task_reschedule_count=0, run_id=""):
        CALLS[run_id] += 1
        return PokeReturnValue(CALLS[run_id] == 3, xcom_value=task_reschedule_count)

    @task.sensor(poke_interval=0.01, timeout=0.05, mode="poke", retries=2, retry_delay=timedelta(0))
    def never():
        return False

    @task.sensor(poke_interval=0.01, timeout=30, mode="poke")
    def skips():
        raise AirflowSkipException("at once")

    third()
    never()
    skips()


rescheduled()
rescheduled_too_long()
rescheduled_and_retried()
rescheduled_ends()
rescheduled_map()
poked()
