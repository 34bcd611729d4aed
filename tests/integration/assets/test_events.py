"""Tasks with inlets and outlets, as authors write them, and the events and answers they get."""

import json
from typing import Any

from dagcall.coordinator.run import Run
from dagcall.journal.assets import AssetEventQuery
from dagcall.model.assets import AssetEvent

from ..serving import Serving, eventually

HEAD = "from airflow.sdk import DAG, Asset, AssetAlias, Metadata, asset, dag, result, task\n"


def events_of(served: Serving, run: Run) -> list[AssetEvent]:
    """Once the run has ended."""
    eventually(lambda: run.head.state.is_final, "it has ended")
    query = AssetEventQuery(source_dag_id=run.key.dag_id, source_run_id=run.key.run_id)
    return served.do(served.coordinator.assets.events(query))[0]


def shown(served: Serving, event: AssetEvent) -> dict[str, Any]:
    asset = served.coordinator.assets.book.assets[event.asset_id]
    return {
        "uri": asset.uri,
        "extra": json.loads(event.extra),
        "task": event.source.task_id,
        "aliases": list(event.aliases),
    }


def test_outlets_of_every_kind(served: Serving) -> None:
    served.write(
        "outlets.py",
        HEAD
        + """
plain, told = Asset("plain", "s3://bucket/plain"), Asset("told", "s3://bucket/told", extra={"own": 1})
alias = AssetAlias("some")

@dag(schedule=None)
def outlets():
    @task(outlets=[plain])
    def first():
        pass

    @task(outlets=[told, Asset.ref(name="plain"), Asset.ref(uri="s3://bucket/told")])
    def second(outlet_events):
        outlet_events[told].extra = {"rows": 3}

    @task(outlets=[told])
    def third():
        yield Metadata(told, {"from": "yield"})

    @task(outlets=[alias])
    def fourth(outlet_events):
        outlet_events[alias].add(Asset("made", "s3://bucket/made", extra={"by": "task"}), {"n": 1})
        outlet_events[alias].add(plain)

    @task(outlets=[plain])
    def fails():
        raise ValueError("no event")

    first() >> second() >> third() >> fourth() >> fails()
outlets()
""",
    )
    served.wait_for_dag("outlets")
    run = served.start("outlets")
    assert [shown(served, event) for event in events_of(served, run)] == [
        {"uri": "s3://bucket/plain", "extra": {}, "task": "first", "aliases": []},
        {"uri": "s3://bucket/told", "extra": {"rows": 3}, "task": "second", "aliases": []},
        {"uri": "s3://bucket/plain", "extra": {}, "task": "second", "aliases": []},
        {"uri": "s3://bucket/told", "extra": {"rows": 3}, "task": "second", "aliases": []},
        {"uri": "s3://bucket/told", "extra": {"from": "yield"}, "task": "third", "aliases": []},
        {"uri": "s3://bucket/made", "extra": {"n": 1}, "task": "fourth", "aliases": ["some"]},
        {"uri": "s3://bucket/plain", "extra": {}, "task": "fourth", "aliases": ["some"]},
    ]


def test_mapped_tasks_make_an_event_each(served: Serving) -> None:
    served.write(
        "mapped_outlets.py",
        HEAD
        + """
each = Asset("each")

@dag(schedule=None)
def mapped_outlets():
    @task(outlets=[each])
    def update(n, outlet_events):
        outlet_events[each].extra = {"n": n}
    update.expand(n=[0, 1, 2])
mapped_outlets()
""",
    )
    served.wait_for_dag("mapped_outlets")
    events = events_of(served, served.start("mapped_outlets"))
    assert sorted((event.source.map_index, json.loads(event.extra)["n"]) for event in events) == [
        (0, 0),
        (1, 1),
        (2, 2),
    ]


def test_inlet_events_filtered_ordered_and_limited(served: Serving) -> None:
    served.write(
        "inlets.py",
        HEAD
        + """
log, alias = Asset("log", "file:///log", extra={"kept": True}), AssetAlias("log_alias")

@dag(schedule=None, params={"n": 0})
def writes():
    @task(outlets=[log, alias])
    def write(params, outlet_events):
        outlet_events[log].extra = {"n": params["n"]}
        outlet_events[alias].add(log, {"alias": params["n"]})
        return params["n"]
    return write()

@dag(schedule=None)
def reads():
    @task(inlets=[log, alias, Asset.ref(name="log")])
    def read(inlet_events):
        of_log, of_alias = inlet_events[log], inlet_events[alias]
        events = list(of_log)
        middle = events[2].timestamp.isoformat()
        return {
            "all": [event.extra for event in events],
            "alias": [event.extra for event in of_alias],
            "by name": len(inlet_events[Asset.ref(name="log")]),
            "last": inlet_events[log].ascending(False).limit(1)[0].extra,
            "after": len(inlet_events[log].after(middle)),
            "before": len(inlet_events[log].before(middle)),
            "pulled": events[0].source_task_instance.xcom_pull(),
            "source": [events[0].source_dag_id, events[0].source_task_id, events[0].source_map_index],
            "asset": [events[0].asset.name, events[0].asset.uri, events[0].asset.group, events[0].asset.extra],
        }
    return read()
writes()
reads()
""",
    )
    served.wait_for_dag("writes", "reads")
    for n in (1, 2):
        served.value_of(served.start("writes", {"n": n}))
    seen = served.call("reads")
    assert seen == {
        "all": [{"n": 1}, {"alias": 1}, {"n": 2}, {"alias": 2}],
        "alias": [{"alias": 1}, {"alias": 2}],
        "by name": 4,
        "last": {"alias": 2},
        "after": 2,
        "before": 3,
        "pulled": 1,
        "source": ["writes", "write", -1],
        "asset": ["log", "file:///log", "asset", {"kept": True}],
    }


def test_what_is_not_known_is_said(served: Serving) -> None:
    served.write(
        "unknown.py",
        HEAD
        + """
@dag(schedule=None)
def unknown():
    @task(inlets=[Asset.ref(name="nobody")])
    def ask(inlet_events):
        return list(inlet_events)
    return ask()
unknown()
""",
    )
    served.wait_for_dag("unknown")
    failure = served.failure("unknown")
    assert failure.type == "AirflowRuntimeError"
    assert "ASSET_NOT_FOUND" in failure.message


def test_an_asset_that_another_has_the_name_of_fails_the_task_as_in_stock(served: Serving) -> None:
    served.write(
        "rivals.py",
        HEAD
        + """
with DAG("rivals", schedule=None):
    @task(outlets=[Asset("rival", "s3://one")])
    def one(): ...
    @task(outlets=[Asset("rival", "s3://two")])
    def two(): ...
    one() >> two()
""",
    )
    served.wait_for_dag("rivals")
    failure = served.failure("rivals")
    assert failure.type == "AirflowInactiveAssetInInletOrOutletException"
    assert failure.outcome.failure is not None
    assert failure.outcome.failure.failed_task == "two"


def test_the_asset_decorator(served: Serving) -> None:
    served.write(
        "decorated.py",
        HEAD
        + """
@asset(schedule=None, uri="s3://sales/orders", extra={"kind": "orders"})
def orders(self, context, outlet_events):
    outlet_events[self].extra = {"of": self.uri, "run": context["dag_run"].run_type.value}

@asset(schedule=None)
def report(orders):
    assert orders.extra == {"kind": "orders"}, orders

@asset.multi(schedule=None, outlets=[Asset("left"), Asset("right")])
def sides(outlet_events):
    outlet_events[Asset("right")].extra = {"side": "right"}
""",
    )
    served.wait_for_dag("orders", "report", "sides")
    (event,) = events_of(served, served.start("orders"))
    assert shown(served, event)["extra"] == {"of": "s3://sales/orders", "run": "manual"}
    assert [shown(served, event)["uri"] for event in events_of(served, served.start("report"))] == ["report"]
    both = events_of(served, served.start("sides"))
    assert [shown(served, event)["extra"] for event in both] == [{}, {"side": "right"}]


def test_a_result_task_without_a_value_answers_with_its_asset(served: Serving) -> None:
    served.write(
        "results.py",
        HEAD
        + """
out = Asset("out", "s3://sales/out")
alias = AssetAlias("dynamic")

@dag(schedule=None)
def asset_result():
    @task(outlets=[out])
    def nothing(outlet_events):
        outlet_events[out].extra = {"rows": 7}
    return nothing()

@dag(schedule=None)
def alias_result():
    @task(outlets=[alias])
    def nothing(outlet_events):
        outlet_events[alias].add(Asset("found", "s3://sales/found"), {"rows": 8})
    return nothing()

@dag(schedule=None)
def value_result():
    @task(outlets=[out])
    def value():
        return 5
    return value()
asset_result()
alias_result()
value_result()
""",
    )
    served.wait_for_dag("asset_result", "alias_result", "value_result")
    assert served.call("asset_result") == {"asset": {"name": "out", "uri": "s3://sales/out", "extra": {"rows": 7}}}
    assert served.call("alias_result") == {"asset": {"name": "found", "uri": "s3://sales/found", "extra": {"rows": 8}}}
    assert served.call("value_result") == 5
