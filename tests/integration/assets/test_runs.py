"""Invoke by data: DAGs scheduled on assets, as authors write them, started by events of tasks and of the API."""

import json
from typing import Any

from dagcall.coordinator.run import Run
from dagcall.journal.base import HeadQuery
from dagcall.model.ids import RunKey
from dagcall.model.states import RunState

from ..serving import Serving, eventually

HEAD = """
from airflow.sdk import DAG, Asset, AssetAlias, AssetAll, AssetAny, AssetOrTimeSchedule, CronTriggerTimetable, dag, task

def show(triggering_asset_events):
    return {
        getattr(asset, "uri", asset.name): [[event.source_dag_id, event.source_task_id, event.extra] for event in events]
        for asset, events in triggering_asset_events.items()
    }

def consumer(name, schedule, **more):
    with DAG(name, schedule=schedule, **more):
        task(show, task_id="show")()

def producer(name, *outlets):
    with DAG(name, schedule=None):
        @task(outlets=list(outlets))
        def make(params, outlet_events):
            for outlet in outlets:
                if isinstance(outlet, Asset):
                    outlet_events[outlet].extra = {"n": params.get("n")}
                else:
                    outlet_events[outlet].add(Asset("behind_" + outlet.name), {"n": params.get("n")})
        make()
"""


def runs_of(served: Serving, dag_id: str, count: int = 1) -> list[Run]:
    """The asset-triggered runs, in their order, once there are so many and they have ended."""
    query = HeadQuery(dag_ids=frozenset({dag_id}), run_types=frozenset({"asset_triggered"}))

    def found() -> list[RunKey]:
        heads, _ = served.do(served.coordinator.list_runs(query))
        return [head.key for head in heads] if len(heads) >= count and all(one.state.is_final for one in heads) else []

    runs = [served.do(served.coordinator.run(key)) for key in eventually(found, f"{count} run(s) of {dag_id}")]
    assert len(runs) == count
    assert all(run.head.state is RunState.SUCCESS for run in runs)
    return runs


def seen_by(run: Run) -> Any:
    item = run.machine.xcoms.get("show", -1, "return_value")
    assert item is not None
    import msgspec

    return msgspec.msgpack.decode(item.value)


def emit(served: Serving, name: str, **extra: object) -> None:
    """As `POST /api/v2/assets/events` does."""
    assets = served.coordinator.assets
    asset_id = next(asset.id for asset in assets.book.assets.values() if asset.name == name)
    served.do(assets.create_event(asset_id, json.dumps(extra).encode()))


def test_a_producer_starts_its_consumer(served: Serving) -> None:
    served.write("chain.py", HEAD + 'one = Asset("one")\nproducer("makes_one", one)\nconsumer("takes_one", [one])\n')
    served.wait_for_dag("makes_one", "takes_one")
    source = served.start("makes_one", {"n": 1})
    (run,) = runs_of(served, "takes_one")
    assert seen_by(run) == {"one": [["makes_one", "make", {"n": 1}]]}
    assert run.key.run_id.startswith("asset_triggered__")
    assert (run.head.run_type, run.head.triggered_by, run.head.conf) == ("asset_triggered", "asset", b"{}")
    served.outcome(source)
    served.start("makes_one", {"n": 2})
    again = runs_of(served, "takes_one", 2)[1]
    assert seen_by(again) == {"one": [["makes_one", "make", {"n": 2}]]}


def test_all_any_and_references(served: Serving) -> None:
    served.write(
        "combined.py",
        HEAD
        + """
x, y, z = Asset("x"), Asset("y"), Asset("z")
consumer("every", x & y)
consumer("either", x | y)
consumer("mixed", AssetAll(AssetAny(x, y), z))
consumer("named", [Asset.ref(name="x")])
""",
    )
    served.wait_for_dag("every", "either", "mixed", "named")
    emit(served, "x", n=1)
    assert seen_by(runs_of(served, "either")[0]) == {"x": [[None, None, {"n": 1}]]}
    assert seen_by(runs_of(served, "named")[0]) == {}, "as in stock: started, but not told"
    emit(served, "x", n=2)
    runs_of(served, "either", 2)
    emit(served, "y", n=3)
    both = {"x": [[None, None, {"n": 1}], [None, None, {"n": 2}]], "y": [[None, None, {"n": 3}]]}
    assert seen_by(runs_of(served, "every")[0]) == both
    emit(served, "z", n=4)
    assert seen_by(runs_of(served, "mixed")[0]) == {**both, "z": [[None, None, {"n": 4}]]}
    runs_of(served, "either", 3)
    runs_of(served, "named", 2)


def test_an_alias(served: Serving) -> None:
    served.write(
        "aliased.py", HEAD + 'some = AssetAlias("some")\nproducer("makes_some", some)\nconsumer("takes_some", [some])\n'
    )
    served.wait_for_dag("makes_some", "takes_some")
    served.start("makes_some", {"n": 1})
    (run,) = runs_of(served, "takes_some")
    told = [["makes_some", "make", {"n": 1}]]
    assert seen_by(run) == {"behind_some": told, "some": told}


def test_the_asset_half_of_an_asset_or_time_schedule(served: Serving) -> None:
    served.write(
        "halves.py",
        HEAD
        + """
half = Asset("half")
cron = CronTriggerTimetable("0 0 1 1 *", timezone="UTC")
consumer("sdk_half", AssetOrTimeSchedule(timetable=cron, assets=[half]))

from airflow.timetables.assets import AssetOrTimeSchedule as Core
from airflow.timetables.trigger import CronTriggerTimetable as CoreCron
consumer("core_half", Core(timetable=CoreCron("0 0 1 1 *", timezone="UTC"), assets=half | Asset("other_half")))
""",
    )
    served.wait_for_dag("sdk_half", "core_half")
    emit(served, "half")
    told = {"half": [[None, None, {}]]}
    assert seen_by(runs_of(served, "sdk_half")[0]) == seen_by(runs_of(served, "core_half")[0]) == told
    notes = served.coordinator.catalog.find("sdk_half").notes
    assert any("not by its times" in note.text for note in notes)


def test_max_active_runs_gathers_events_as_in_stock(served: Serving) -> None:
    served.write(
        "narrow.py",
        HEAD
        + """
import os, time
p, q = Asset("p"), Asset("q")
with DAG("narrow", schedule=(p | q), max_active_runs=1):
    @task
    def show_slowly(triggering_asset_events, params):
        while not os.path.exists(os.environ["AIRFLOW_HOME"] + "/go"):
            time.sleep(0.01)
        return show(triggering_asset_events)
    show_slowly.override(task_id="show")()
""",
    )
    served.wait_for_dag("narrow")
    emit(served, "p", n=1)
    query = HeadQuery(dag_ids=frozenset({"narrow"}))
    eventually(lambda: served.do(served.coordinator.list_runs(query))[1] == 1, "the first run is there")
    emit(served, "p", n=2)
    emit(served, "q", n=3)
    assert len(served.coordinator.assets.book.queued("narrow")) == 2
    (served.home / "go").touch()
    first, second = runs_of(served, "narrow", 2)
    assert seen_by(first) == {"p": [[None, None, {"n": 1}]]}
    assert seen_by(second) == {"p": [[None, None, {"n": 2}]], "q": [[None, None, {"n": 3}]]}


def test_what_starts_no_run_can_be_called_and_is_noted(served: Serving) -> None:
    served.write(
        "noted.py",
        """
from airflow.sdk import DAG, Asset, AssetWatcher, PartitionedAssetTimetable, task
from airflow.triggers.base import BaseEventTrigger

class Never(BaseEventTrigger):
    def serialize(self): return "x.Never", {}
    async def run(self): yield

with DAG("watching", schedule=[Asset("w", watchers=[AssetWatcher("w", trigger=Never())])]):
    @task
    def t(): ...
    t()
with DAG("partitioned", schedule=PartitionedAssetTimetable(assets=Asset("part"))):
    t()
""",
    )
    served.wait_for_dag("watching", "partitioned")
    find = served.coordinator.catalog.find
    assert [str(note) for note in find("watching").notes] == [
        "schedule has asset 'w', which nothing watches. Tell of its events with POST /api/v2/assets/events."
    ]
    assert [str(note).split(".")[0] for note in find("partitioned").notes] == ["schedule is not acted upon"]
    assert served.call("watching") is served.call("partitioned") is None
