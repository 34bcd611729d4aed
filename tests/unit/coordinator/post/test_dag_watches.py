"""Something here waits for a run of a DAG that another server may drive: it looks again when there is news."""

from collections.abc import Callable

from hypothesis import given, settings
from hypothesis import strategies as st

from dagcall.coordinator.post.dag_watches import LEASE, MOST_NAMED, DagWatches
from dagcall.coordinator.run import Run
from dagcall.model.ids import RunKey

from .servers import KEY, Server, World


class Waits:
    """Implements `Waiting`: what a server waits for, and what it saw when it looked last."""

    def __init__(self, world: World, server: Server) -> None:
        self.world = world
        self.heard_of: list[tuple[str, str]] = []
        self.tells: dict[str, Callable[[Run], None]] = {}
        self.seen = -1
        self.dags = DagWatches(server.post, self)

    def watched_elsewhere(self, dag_id: str, told: Callable[[Run], None] | None) -> None:
        if told is None:
            self.tells.pop(dag_id, None)
        else:
            self.tells[dag_id] = told

    def heard(self, dag_id: str, run_id: str) -> None:
        self.heard_of.append((dag_id, run_id))
        self.look()

    def look(self) -> None:
        stored = self.world.journal._storage.runs.get(KEY)
        self.seen = 0 if stored is None else len(stored.rows)

    def begin(self) -> None:
        with self.world.time.loop.running():
            self.dags.begin("d")
        self.look()

    def published(self, run: Run) -> None:
        told = self.tells.get(run.key.dag_id)
        if told is not None:
            with self.world.time.loop.running():
                told(run)


def test_news_is_told_where_something_waits() -> None:
    world = World(3)
    here, _, _ = world.servers
    waits = [Waits(world, server) for server in world.servers]
    world.time.pass_(1)
    waits[1].begin()
    world.time.pass_(0.2)
    assert waits[1].heard_of == [("d", ""), ("d", "")], "each of the others knows of it, so it looks once more"
    run = world.do(here.begin())
    waits[0].published(run)
    world.time.pass_(0.2)
    assert waits[1].heard_of[2:] == [("d", "r")]
    assert waits[2].heard_of == []
    with world.time.loop.running():
        waits[1].dags.end("d")
    world.time.pass_(2 * LEASE)
    assert waits[0].tells == {}
    before = len(world.hub.texts)
    waits[0].published(run)
    world.time.pass_(1)
    assert len(world.hub.texts) == before


def test_much_news_is_few_texts() -> None:
    world = World()
    waits = [Waits(world, server) for server in world.servers]
    world.time.pass_(1)
    waits[1].begin()
    world.time.pass_(1)
    runs = [world.do(world.servers[0].begin(RunKey("d", f"r{number}"))) for number in range(MOST_NAMED + 1)]
    before = len(world.hub.texts)
    for _ in range(50):
        for run in runs:
            waits[0].published(run)
        world.time.pass_(0.01)
    world.time.pass_(0.2)
    assert len(world.hub.texts) - before <= 12
    assert waits[1].heard_of[-1] == ("d", "")


def test_a_server_that_starts_later_is_told_what_is_watched() -> None:
    world = World()
    waits = [Waits(world, world.servers[0])]
    world.time.pass_(1)
    waits[0].begin()
    world.time.pass_(1)
    later = Server(world, 9)
    waits.append(Waits(world, later))
    world.do(later.start())
    world.time.pass_(0.5)
    run = world.do(later.begin())
    waits[1].published(run)
    world.time.pass_(0.2)
    assert ("d", "r") in waits[0].heard_of


@settings(max_examples=40)
@given(
    seed=st.integers(0, 2**32),
    loss=st.sampled_from([0.0, 0.5]),
    steps=st.lists(st.sampled_from(["publish", "pass", "cut", "join", "other cut", "other join"]), max_size=12),
)
def test_in_the_end_it_has_looked_after_the_last_news(seed: int, loss: float, steps: list[str]) -> None:
    world = World(2, seed)
    here, there = world.servers
    waits = [Waits(world, server) for server in world.servers]
    run = world.do(here.begin())
    world.hub.loss = loss
    waits[1].begin()
    for step in steps:
        match step:
            case "publish":
                world.do(here.emit(1))
                waits[0].published(run)
            case "pass":
                world.time.pass_(0.3)
            case "cut":
                there.wire.disconnect()
            case "join":
                there.wire.reconnect()
            case "other cut":
                here.wire.disconnect()
            case "other join":
                here.wire.reconnect()
    world.hub.loss = 0.0
    here.wire.reconnect()
    there.wire.reconnect()
    world.time.pass_(1.0)
    assert waits[1].seen == len(world.stored())
    world.do(here.emit(1))
    waits[0].published(run)
    world.time.pass_(1.0)
    assert waits[1].seen == len(world.stored())
