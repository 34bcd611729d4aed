"""What is measured, and for how long."""

from dataclasses import dataclass

NAMES = {"one_task": "one_task", "nine": "ask_astro"}
"""DAG id to the name of its figures, where it is another: `nine` has the shape of the `ask_astro` example."""

WAIT_MS = 100.0
WAITS_IN_A_ROW = 2
CRITICAL_PATH_MS = WAIT_MS * WAITS_IN_A_ROW
"""Of `dags/realistic.py`: what it waits for at least, however fast tasks are started."""

LEVELS = ("none", "process", "power")
"""Of durability; the phase in which one is measured is `durability_<level>`."""

MANY_CALLERS = 64
"""Of `realistic`, on dagcall."""


@dataclass(frozen=True)
class Load:
    """Callers at once, each calling again when it is answered, until the seconds are over; each at least once."""

    dag_id: str
    callers: int
    seconds: float

    @property
    def name(self) -> str:
        return NAMES.get(self.dag_id, self.dag_id)


def loads(*each: tuple[str, int, float]) -> tuple[Load, ...]:
    return tuple(Load(*one) for one in each)


@dataclass(frozen=True)
class Plan:
    """`turns`: dagcall and the bare runner one after the other, `rounds` times. `crowds`: likewise, dagcall only.

    `levels`: dagcall at each level of durability in turn, `level_rounds` times. `cold_files`: files whose first call is timed. `stock`, `tuned`: each once, stock Airflow with its defaults, and
    tuned. `control`: dagcall again after each of these.
    """

    rounds: int
    turns: tuple[Load, ...]
    crowd_rounds: int
    crowds: tuple[Load, ...]
    level_rounds: int
    levels: tuple[Load, ...]
    cold_files: int
    control: tuple[Load, ...] = ()
    stock: tuple[Load, ...] = ()
    tuned: tuple[Load, ...] = ()


QUICK = Plan(
    rounds=3,
    turns=loads(("one_task", 1, 0.3), ("nine", 1, 0.5), ("fanout_200", 1, 0.8), ("realistic", 1, 0.5)),
    crowd_rounds=1,
    crowds=loads(
        ("one_task", 32, 1.0),
        ("nine", 32, 1.2),
        ("realistic", MANY_CALLERS, 2.0),
        ("fanout_200", 1, 0.8),
        ("fanout_2000", 1, 0.0),
    ),
    level_rounds=4,
    levels=loads(("one_task", 1, 0.3), ("nine", 1, 0.5)),
    cold_files=8,
)

FULL = Plan(
    rounds=5,
    turns=loads(("one_task", 1, 0.7), ("nine", 1, 1.0), ("fanout_200", 1, 1.6), ("realistic", 1, 1.0)),
    crowd_rounds=3,
    crowds=loads(
        ("one_task", 8, 1.0),
        ("one_task", 32, 1.0),
        ("nine", 8, 1.0),
        ("nine", 32, 1.5),
        ("realistic", 8, 1.5),
        ("realistic", MANY_CALLERS, 3.0),
        ("fanout_200", 1, 0.8),
        ("fanout_2000", 1, 0.0),
    ),
    level_rounds=8,
    levels=loads(("one_task", 1, 0.5), ("nine", 1, 0.8)),
    cold_files=20,
    control=loads(
        ("one_task", 1, 0.8),
        ("nine", 1, 1.2),
        ("fanout_200", 1, 1.6),
        ("realistic", 1, 1.0),
        ("one_task", 8, 1.0),
        ("one_task", 32, 1.0),
        ("nine", 8, 1.0),
        ("nine", 32, 1.5),
        ("realistic", 8, 1.5),
    ),
    stock=loads(
        ("one_task", 1, 12.0),
        ("nine", 1, 16.0),
        ("fanout_200", 1, 0.0),
        ("realistic", 1, 10.0),
        ("one_task", 8, 6.0),
        ("nine", 8, 0.0),
        ("realistic", 8, 0.0),
        ("one_task", 32, 0.0),
        ("nine", 32, 0.0),
    ),
    tuned=loads(
        ("one_task", 1, 6.0),
        ("nine", 1, 10.0),
        ("fanout_200", 1, 0.0),
        ("realistic", 1, 8.0),
        ("one_task", 8, 4.0),
        ("nine", 8, 0.0),
        ("realistic", 8, 0.0),
        ("one_task", 32, 0.0),
        ("nine", 32, 0.0),
    ),
)
