"""What a server counts of its calls, and the families in which it tells them: `/metrics`, OTLP.

Authoritative for the counts since the server's start; nothing of it is kept, and nothing else depends on it.

It costs a call next to nothing: that a run has its answer, or has ended, is one `append` to a list. What the lists hold
is counted once a second, and before anybody is told (`_count`), all values of a histogram together.
Who asks is told of one moment: numbers are copied on the event loop, made into families in a thread (`collect`).

Cardinality is bounded: labels are DAG ids, of `MOST_DAGS` at most (the others are counted together, as `OTHERS`), and words
of the code. There is no run id, task id or caller in them.

Names are Airflow's, with `dagcall` in the place of `airflow`, where Airflow has the metric (`FAMILIES` says so).
"""

import asyncio
import resource
from collections import Counter, defaultdict
from collections.abc import Callable, Sequence
from itertools import groupby
from operator import attrgetter
from typing import Final, NamedTuple, Protocol

from dagcall.coordinator.run import Run
from dagcall.coordinator.telemetry import Traces
from dagcall.errors import DagcallError, Problem
from dagcall.journal.base import Journal
from dagcall.model.measures import Family, Histogram, Kind, Labels
from dagcall.model.states import RunState
from dagcall.version import __version__

MOST_DAGS: Final = 1000
OTHERS: Final = "(others)"
FINAL_RUN_STATES: Final = tuple(state for state in RunState if state.is_final)
EVERY: Final = 1.0
"""Seconds between two looks at the loop's lag."""
_PAGE: Final = resource.getpagesize()
_dag_id = attrgetter("key.dag_id")


class Told(NamedTuple):
    """`airflow`: the name of Airflow's metric with the same meaning, if there is one."""

    kind: Kind
    help: str
    labels: tuple[str, ...] = ()
    airflow: str = ""


FAMILIES: Final[dict[str, Told]] = {
    "dagcall_calls_total": Told("counter", "Calls that have their outcome.", ("dag_id", "outcome")),
    "dagcall_calls_shared_total": Told(
        "counter", "Calls that were answered with the run of another one: by key, coalesced or cached.", ("how",)
    ),
    "dagcall_calls_refused_total": Told(
        "counter", "Calls that were refused before a run began, by the type of the problem.", ("reason",)
    ),
    "dagcall_call_duration_seconds": Told("histogram", "From the call to its outcome.", ("dag_id",)),
    "dagcall_call_queue_seconds": Told(
        "histogram", "From the call to the start of its first task.", ("dag_id",), "dagrun.first_task_start_delay"
    ),
    "dagcall_dagrun_duration_seconds": Told(
        "histogram", "From the start of a run's first task to its end, by its state.", ("dag_id", "state"),
        "dagrun.duration.<state>",
    ),
    "dagcall_ti_finish_total": Told(
        "counter", "Task instances by their final state, counted when their run ends.", ("dag_id", "state"), "ti.finish"
    ),
    "dagcall_ti_start_total": Told("counter", "Tries that began, counted when their run ends.", ("dag_id",), "ti.start"),
    "dagcall_task_duration_seconds": Told(
        "histogram", "The latest try of a task instance, counted when its run ends.", ("dag_id",), "task.duration"
    ),
    "dagcall_task_queued_duration_seconds": Told(
        "histogram", "What it waited for a worker, counted when its run ends.", ("dag_id",), "task.queued_duration"
    ),
    "dagcall_dagruns_running": Told("gauge", "Runs that have not ended.", (), "scheduler.dagruns.running"),
    "dagcall_runs_without_outcome": Told("gauge", "Runs whose outcome is not known yet: what `max_runs` bounds."),
    "dagcall_runs_queued": Told("gauge", "Runs whose first task has not started yet."),
    "dagcall_runs_waited_for": Told("gauge", "Runs that somebody waits for."),
    "dagcall_runs_followed": Told("gauge", "Runs of other servers that somebody waits for at this one."),
    "dagcall_runs_watched": Told("gauge", "Runs that somebody waits for at another server."),
    "dagcall_runs_taken_up_total": Told(
        "counter", "Unfinished runs that this server found when it started, or took over from another one."
    ),
    "dagcall_callbacks_pending": Told("gauge", "Callbacks and calls of listeners that have not ended."),
    "dagcall_workers": Told("gauge", "Worker processes by what they do.", ("state",)),
    "dagcall_workers_limit": Told("gauge", "The most tasks at once."),
    "dagcall_workers_started_total": Told("counter", "Worker processes that were started."),
    "dagcall_workers_killed_total": Told("counter", "Worker processes that ended while they had a task."),
    "dagcall_tasks_waiting": Told("gauge", "Tasks that wait for a worker.", (), "executor.queued_tasks"),
    "dagcall_zygotes": Told("gauge", "Processes that hold a parsed DAG file."),
    "dagcall_triggers_running": Told("gauge", "Triggers that deferred tasks wait for.", (), "triggers.running"),
    "dagcall_journal_commit_seconds": Told("histogram", "One transaction of the journal."),
    "dagcall_journal_commit_entries": Told("histogram", "What one transaction has written."),
    "dagcall_journal_failed_total": Told("counter", "Entries that the journal did not keep."),
    "dagcall_journal_waiting": Told("gauge", "Entries that wait for the journal's writer."),
    "dagcall_journal_size_bytes": Told("gauge", "The journal on this machine's disk, its log included."),
    "dagcall_journal_up": Told("gauge", "1: what is appended is kept; 0: the journal is away or fails."),
    "dagcall_journal_fenced": Told("gauge", "1: another server has opened the journal, and this one ends."),
    "dagcall_recorded_total": Told("counter", "Runs that were written into Airflow's metadata database."),
    "dagcall_recording_up": Told("gauge", "1: Airflow's database takes what ended; 0: it waits, and the log says why."),
    "dagcall_recording_waiting": Told("gauge", "Runs in memory that wait for it."),
    "dagcall_recording_behind": Told("gauge", "1: more wait than memory holds, and are read from the journal."),
    "dagcall_recording_lag_seconds": Told("gauge", "How long before the latest end of a run the oldest of them ended."),
    "dagcall_recording_shed_total": Told("counter", "Runs that are not recorded, because `record_backlog` was reached."),
    "dagcall_recording_given_up_total": Told("counter", "Runs that Airflow's database did not take."),
    "dagcall_event_loop_lag_seconds": Told("histogram", "How much later than it should the event loop came to a timer."),
    "dagcall_process_resident_memory_bytes": Told("gauge", "Of the server's own process."),
    "dagcall_spans_dropped_total": Told(
        "counter", "Runs, and messages of workers, whose spans were not exported: too many waited, or they could not be made."
    ),
    "dagcall_dags": Told("gauge", "DAGs that are served.", (), "dagbag_size"),
    "dagcall_import_errors": Told("gauge", "Files that do not import.", (), "dag_processing.import_errors"),
    "dagcall_ready": Told("gauge", "1: a call would be taken now (`/health/ready`)."),
    "dagcall_info": Told("gauge", "Always 1.", ("version",)),
}  # fmt: skip
"""Every metric there is. `docs/observability.md` has this table."""


class Server(Protocol):
    """What is asked of a server when its metrics are."""

    def statistics(self) -> dict[str, int]: ...
    def obstacles(self) -> list[str]: ...


class OfDag:
    """What is counted of one DAG."""

    __slots__ = ("duration", "durations", "finished", "outcomes", "queue", "queued", "started", "took")

    def __init__(self) -> None:
        self.outcomes: Counter[str] = Counter()
        self.duration = Histogram()
        self.queue = Histogram()
        self.durations: dict[str, Histogram] = {}
        """Of runs, by state."""
        self.finished: Counter[str] = Counter()
        self.started = 0
        self.took = Histogram()
        self.queued = Histogram()

    def copy(self) -> "OfDag":
        made = OfDag.__new__(OfDag)
        made.outcomes, made.finished, made.started = self.outcomes.copy(), self.finished.copy(), self.started
        made.duration, made.queue = self.duration.copy(), self.queue.copy()
        made.took, made.queued = self.took.copy(), self.queued.copy()
        made.durations = {state: one.copy() for state, one in self.durations.items()}
        return made


class Metrics:
    """Of one server."""

    def __init__(self, server: Server, journal: Journal, shared: Counter[str]) -> None:
        """`shared`: calls that were answered with another one's run, by why; counted elsewhere."""
        self._server = server
        self._journal = journal
        self._by_dag: dict[str, OfDag] = {}
        self._refused: Counter[str] = Counter()
        self._shared = shared
        self._lag = Histogram()
        self._answered: list[Run] = []
        self._ended: list[Run] = []
        self.answered: Callable[[Run], None] = self._answered.append
        """Its outcome is known, or it will have none here."""
        self.ended: Callable[[Run], None] = self._ended.append
        """It has ended, or is not driven any more."""
        self.traces: Traces | None = None
        self.look: Callable[[Sequence[Run]], None] = lambda answered: None
        """Is shown who was answered since the last time."""

    def refused(self, error: DagcallError) -> None:
        """A call was refused with this."""
        self._refused[error.slug if isinstance(error, Problem) else "error"] += 1

    async def watch(self) -> None:
        """Count, and see how late the loop is, until cancelled."""
        loop = asyncio.get_running_loop()
        while True:
            due = loop.time() + EVERY
            await asyncio.sleep(EVERY)
            self._lag.add(max(0.0, loop.time() - due))
            self._count()

    def collect(self) -> Callable[[], list[Family]]:
        """See `api.MetricsView`."""
        self._count()
        by_dag = {dag_id: one.copy() for dag_id, one in self._by_dag.items()}
        server: dict[str, float | Histogram] = dict(self._of_journal())
        server |= {
            "dagcall_event_loop_lag_seconds": self._lag.copy(),
            "dagcall_process_resident_memory_bytes": _resident(),
            "dagcall_ready": not self._server.obstacles(),
            "dagcall_spans_dropped_total": 0 if self.traces is None else self.traces.dropped,
        }
        statistics, refused, shared = self._server.statistics(), self._refused.copy(), self._shared.copy()

        def families() -> list[Family]:
            samples = _of_dags(by_dag)
            samples["dagcall_calls_refused_total"] = [((("reason", one),), count) for one, count in refused.items()]
            samples["dagcall_calls_shared_total"] = [((("how", one),), count) for one, count in shared.items()]
            samples["dagcall_info"] = [((("version", __version__),), 1)]
            samples |= {name: [((), value)] for name, value in (server | _gauges(statistics)).items()}
            samples["dagcall_workers"] = [((("state", state),), n) for state, n in _workers(statistics).items()]
            return [Family(name, told.kind, told.help, samples.get(name, [])) for name, told in FAMILIES.items()]

        return families

    def _of_journal(self) -> dict[str, float | Histogram]:
        journal, trouble = self._journal, self._journal.trouble
        commits = journal.commits
        measured: dict[str, float | Histogram] = {
            "dagcall_journal_commit_seconds": commits.seconds.copy(),
            "dagcall_journal_commit_entries": commits.entries.copy(),
            "dagcall_journal_failed_total": commits.failed,
            "dagcall_journal_waiting": journal.waiting,
            "dagcall_journal_up": trouble is None,
            "dagcall_journal_fenced": trouble is not None and trouble.is_final,
        }
        size = journal.size()
        return measured if size is None else measured | {"dagcall_journal_size_bytes": size}

    def _count(self) -> None:
        """What the lists hold. No awaits: nothing is added meanwhile. Comprehensions over all runs of a DAG, not a call
        for each: this is part of what a run costs."""
        if self._answered:
            self.look(self._answered)
        for runs, count in ((self._answered, _count_answers), (self._ended, _count_ends)):
            runs.sort(key=_dag_id)
            for dag_id, of_dag in groupby(runs, key=_dag_id):
                count(self._of(dag_id), list(of_dag))
            runs.clear()

    def _of(self, dag_id: str) -> OfDag:
        found = self._by_dag.get(dag_id)
        if found is None:
            if len(self._by_dag) >= MOST_DAGS:
                dag_id = OTHERS
            found = self._by_dag.setdefault(dag_id, OfDag())
        return found


def _count_answers(counted: OfDag, runs: list[Run]) -> None:
    counted.outcomes.update([run.outcome.kind._value_ for run in runs if run.outcome is not None])
    counted.duration.add_all([run.answered_at - run.accepted_at for run in runs if run.answered_at is not None])
    starts = [(run.first_start, run.accepted_at) for run in runs if run.first_start is not None]
    counted.queue.add_all([start - accepted for start, accepted in starts])


def _count_ends(counted: OfDag, runs: list[Run]) -> None:
    machines = [run.machine for run in runs if run.machine.end_date is not None]
    for state in FINAL_RUN_STATES:
        took = [
            one.end_date - one.start_date for one in machines if one.state is state and one.end_date and one.start_date
        ]
        if took:
            counted.durations.setdefault(state._value_, Histogram()).add_all(took)
    instances = [ti for one in machines for task in one.tasks for ti in task.instances]
    counted.finished.update([ti.state._value_ for ti in instances])
    began = [ti for ti in instances if ti.start_date is not None]
    counted.started += sum([ti.try_number for ti in began])
    counted.took.add_all([ti.end_date - ti.start_date for ti in began if ti.end_date and ti.start_date])
    counted.queued.add_all([ti.start_date - ti.queued_at for ti in began if ti.queued_at and ti.start_date])


def _of_dags(by_dag: dict[str, OfDag]) -> dict[str, list[tuple[Labels, float | Histogram]]]:
    samples: defaultdict[str, list[tuple[Labels, float | Histogram]]] = defaultdict(list)
    for dag_id, one in sorted(by_dag.items()):
        of_dag = ("dag_id", dag_id)
        samples["dagcall_calls_total"] += [((of_dag, ("outcome", kind)), n) for kind, n in one.outcomes.items()]
        samples["dagcall_call_duration_seconds"].append(((of_dag,), one.duration))
        samples["dagcall_call_queue_seconds"].append(((of_dag,), one.queue))
        samples["dagcall_dagrun_duration_seconds"] += [
            ((of_dag, ("state", state)), took) for state, took in one.durations.items()
        ]
        samples["dagcall_ti_finish_total"] += [((of_dag, ("state", state)), n) for state, n in one.finished.items()]
        samples["dagcall_ti_start_total"].append(((of_dag,), one.started))
        samples["dagcall_task_duration_seconds"].append(((of_dag,), one.took))
        samples["dagcall_task_queued_duration_seconds"].append(((of_dag,), one.queued))
    return samples


def _gauges(statistics: dict[str, int]) -> dict[str, float | Histogram]:
    names = {
        "dagcall_dagruns_running": "runs",
        "dagcall_runs_without_outcome": "waiting_for_outcome",
        "dagcall_runs_queued": "queued",
        "dagcall_runs_waited_for": "waited_for",
        "dagcall_runs_followed": "followed",
        "dagcall_runs_watched": "watched",
        "dagcall_runs_taken_up_total": "taken_up",
        "dagcall_callbacks_pending": "callbacks",
        "dagcall_workers_limit": "limit",
        "dagcall_workers_started_total": "started",
        "dagcall_workers_killed_total": "killed",
        "dagcall_tasks_waiting": "waiting",
        "dagcall_zygotes": "zygotes",
        "dagcall_triggers_running": "triggers",
        "dagcall_dags": "dags",
        "dagcall_import_errors": "import_errors",
        "dagcall_recorded_total": "recorded",
        "dagcall_recording_up": "recording_up",
        "dagcall_recording_waiting": "recording_waiting",
        "dagcall_recording_behind": "recording_behind",
        "dagcall_recording_lag_seconds": "recording_lag_seconds",
        "dagcall_recording_shed_total": "recording_shed",
        "dagcall_recording_given_up_total": "recording_given_up",
    }
    return {name: statistics[key] for name, key in names.items() if key in statistics}


def _workers(statistics: dict[str, int]) -> dict[str, int]:
    idle, starting = statistics.get("idle", 0), statistics.get("starting", 0)
    return {"busy": statistics.get("workers", 0) - idle, "idle": idle, "starting": starting}


def _resident() -> int:
    with open("/proc/self/statm", "rb") as file:
        return int(file.read().split()[1]) * _PAGE
