"""What tasks ask for while they run, asked by real task code in real workers."""

import pytest

from ..serving import Serving, eventually

HEAD = "from airflow.sdk import DAG, BaseOperator, Variable, dag, result, task\nfrom airflow.sdk.execution_time.xcom import XCom\n"

XCOMS = """
@dag(schedule=None, params={"width": 3})
def pulls():
    @task
    def single():
        return {"a": 1}

    @task
    def numbers(params):
        return list(range(params["width"]))

    @task
    def times_ten(number, ti=None):
        ti.xcom_push(key="own", value=f"own-{number}")
        return None if number == 1 else number * 10

    @task
    def pull(ti=None):
        seen = {
            "single": ti.xcom_pull(task_ids="single"),
            "list of one": ti.xcom_pull(task_ids=["single"]),
            "two": ti.xcom_pull(task_ids=["single", "times_ten"]),
            "mapped": ti.xcom_pull(task_ids="times_ten"),
            "index": ti.xcom_pull(task_ids="times_ten", map_indexes=2),
            "indexes": ti.xcom_pull(task_ids="times_ten", map_indexes=[2, 0, 1]),
            "unmapped index": ti.xcom_pull(task_ids="times_ten", map_indexes=None),
            "key": ti.xcom_pull(task_ids="times_ten", key="own"),
            "key of one": ti.xcom_pull(task_ids="times_ten", key="own", map_indexes=1),
            "no key": ti.xcom_pull(task_ids="single", key="other", map_indexes=None, default="default"),
            "no task": ti.xcom_pull(task_ids="nobody", map_indexes=-1),
            "other run": ti.xcom_pull(task_ids="single", run_id="nobody's", map_indexes=-1),
        }
        return seen

    mapped = times_ten.expand(number=numbers())
    [single(), mapped] >> (pulled := pull())
    return pulled

pulls()
"""


def test_every_form_of_pull(served: Serving) -> None:
    served.write("pulls.py", HEAD + XCOMS)
    served.wait_for_dag("pulls")
    assert served.call("pulls") == {
        "single": {"a": 1},
        "list of one": [{"a": 1}],
        "two": [{"a": 1}, 0, 20],
        "mapped": [0, 20],
        "index": 20,
        "indexes": [20, 0, None],
        "unmapped index": None,
        "key": ["own-0", "own-1", "own-2"],
        "key of one": "own-1",
        "no key": "default",
        "no task": None,
        "other run": None,
    }


def test_another_run_of_the_same_dag(served: Serving) -> None:
    served.write(
        "other_run.py",
        HEAD
        + """
@dag(schedule=None, params={"value": 0, "of": ""})
def other_run():
    @task
    def value(params):
        return params["value"]
    @task
    def read(own, ti=None, params=None):
        if not params["of"]:
            return None
        return [own, ti.xcom_pull(task_ids="value", run_id=params["of"]), ti.get_dagrun_state("other_run", params["of"])]
    return read(value())
other_run()
""",
    )
    served.wait_for_dag("other_run")
    first = served.start("other_run", {"value": 7})
    served.value_of(first)
    eventually(lambda: first.head.state.is_final, "it has ended")
    assert served.call("other_run", {"value": 8, "of": first.key.run_id}) == [8, 7, "success"]


def test_a_push_in_the_middle_of_a_task_is_visible_at_once(served: Serving) -> None:
    served.write(
        "rendezvous.py",
        HEAD
        + """
import time

def wait_for(ti, task_id, key, map_indexes):
    until = time.monotonic() + 20
    while time.monotonic() < until:
        value = ti.xcom_pull(task_ids=task_id, key=key, map_indexes=map_indexes)
        if value is not None and value != [None] and value != []:
            return value
    raise TimeoutError(f"{task_id} pushed nothing")

@dag(schedule=None)
def rendezvous():
    @task
    def left(ti=None):
        ti.xcom_push(key="hello", value="from left")
        return wait_for(ti, "right", "hello", -1)
    @task
    def right(ti=None):
        ti.xcom_push(key="hello", value="from right")
        from airflow.sdk.definitions._internal.types import NOTSET
        return wait_for(ti, "left", "hello", NOTSET)
    @result
    @task
    def both(one, other):
        return [one, other]
    both(left(), right())
rendezvous()
""",
    )
    served.wait_for_dag("rendezvous")
    assert served.call("rendezvous") == ["from right", "from left"]


SEQUENCES = """
@dag(schedule=None)
def sequences():
    @task
    def item(number):
        return {"n": number}

    @task
    def look(items):
        def item_at(index):
            try:
                return items[index]["n"]
            except IndexError:
                return "IndexError"
        return {
            "type": type(items).__name__,
            "len": len(items),
            "all": [one["n"] for one in items],
            "again": [one["n"] for one in items],
            "items": [item_at(index) for index in (0, 4, -1, -5, 5, -6)],
            "slices": [[one["n"] for one in items[part]] for part in (
                slice(1, 3), slice(None, None, 2), slice(-2, None), slice(None, None, -1), slice(7, 9), slice(3, 0, -2),
            )],
            "in": {"n": 3} in items,
            "equal": items == [{"n": n} for n in range(5)],
        }

    return look(item.expand(number=[0, 1, 2, 3, 4]))

sequences()
"""


def test_the_collected_values_of_a_mapped_task_are_a_sequence(served: Serving) -> None:
    served.write("sequences.py", HEAD + SEQUENCES)
    served.wait_for_dag("sequences")
    assert served.call("sequences") == {
        "type": "LazyXComSequence",
        "len": 5,
        "all": [0, 1, 2, 3, 4],
        "again": [0, 1, 2, 3, 4],
        "items": [0, 4, 4, 0, "IndexError", "IndexError"],
        "slices": [[1, 2], [0, 2, 4], [3, 4], [4, 3, 2, 1, 0], [], [3, 1]],
        "in": True,
        "equal": True,
    }


MAPPINGS = {
    "literals": ("show.expand(a=[1, 2], b=['x', 'y'])", ["1x", "1y", "2x", "2y"]),
    "over_xcoms": ("show.expand(a=some(3), b=more(2))", ["0a", "0b", "1a", "1b", "2a", "2b"]),
    "literal_and_xcom": ("show.expand(a=some(2), b=['x', 'y'])", ["0x", "0y", "1x", "1y"]),
    "dict_xcom": ("show.partial(b='!').expand(a=mapping())", ["('k', 1)!", "('l', 2)!"]),
    "literal_dict": ("show.partial(b='!').expand(a={'p': 1, 'q': 2})", ["('p', 1)!", "('q', 2)!"]),
    "over_mapped": ("show.partial(b='').expand(a=plus.expand(n=some(4)))", ["1", "2", "3", "4"]),
    "same_twice": ("(lambda s: show.expand(a=s, b=s))(some(2))", ["00", "01", "10", "11"]),
    "whole_and_each": ("(lambda s: show.partial(b=s).expand(a=s))(some(2))", ["0[0, 1]", "1[0, 1]"]),
    "mapped_whole_and_each": (
        "(lambda s: show.partial(b=s).expand(a=s))(plus.expand(n=some(2)))",
        ["1[1, 2]", "2[1, 2]"],
    ),
    "map": ("show.partial(b='').expand(a=some(3).map(lambda n: n * 5))", ["0", "5", "10"]),
    "map_of_mapped": ("show.partial(b='').expand(a=plus.expand(n=some(3)).map(lambda n: -n))", ["-1", "-2", "-3"]),
    "zip": ("show.partial(b='').expand(a=some(3).zip(more(2)))", ["(0, 'a')", "(1, 'b')"]),
    "zip_fill": (
        "show.partial(b='').expand(a=some(3).zip(more(2), fillvalue='-'))",
        ["(0, 'a')", "(1, 'b')", "(2, '-')"],
    ),
    "concat": ("show.partial(b='').expand(a=some(2).concat(more(2)))", ["0", "1", "a", "b"]),
    "concat_mapped": ("show.partial(b='').expand(a=plus.expand(n=some(2)).concat(more(1)))", ["1", "2", "a"]),
    "expand_kwargs": ("show.expand_kwargs([{'a': 1, 'b': 2}, {'a': 3, 'b': 4}])", ["12", "34"]),
    "expand_kwargs_xcom": ("show.expand_kwargs(kwargs())", ["0x", "1x"]),
    "expand_kwargs_map": ("show.expand_kwargs(some(2).map(lambda n: {'a': n, 'b': 'm'}))", ["0m", "1m"]),
    "nothing": ("show.partial(b='').expand(a=some(0))", []),
    "templates_too": (
        "echo.partial(text='{{ ti.xcom_pull(task_ids=\"some\") }} {{ ti.map_index }}').expand(n=some(2))",
        ["[0, 1] 0 0", "[0, 1] 1 1"],
    ),
}

MAPPED = """
@dag(dag_id="{name}", schedule=None)
def build():
    @task
    def some(length):
        return list(range(length))
    @task
    def more(length):
        return list("abcdef"[:length])
    @task
    def mapping():
        return {{"k": 1, "l": 2}}
    @task
    def kwargs():
        return [{{"a": n, "b": "x"}} for n in range(2)]
    @task
    def plus(n):
        return n + 1
    @task
    def show(a, b):
        listed = list(b) if type(b).__name__ == "LazyXComSequence" else b
        return f"{{tuple(a) if isinstance(a, list) else a}}{{listed}}"
    @task
    def echo(text, n):
        return f"{{text}} {{n}}"
    return {expression}
build()
"""


@pytest.fixture(scope="module")
def mapped(served: Serving) -> Serving:
    for name, (expression, _) in MAPPINGS.items():
        served.write(f"mapped_{name}.py", HEAD + MAPPED.format(name=f"mapped_{name}", expression=expression))
    served.wait_for_dag(*[f"mapped_{name}" for name in MAPPINGS])
    return served


@pytest.mark.parametrize("name", MAPPINGS)
def test_mapping_over(mapped: Serving, name: str) -> None:
    assert (mapped.call(f"mapped_{name}") or []) == MAPPINGS[name][1]


def test_a_mapped_task_is_shipped_its_element_only(mapped: Serving) -> None:
    """No instance asks for the list that it is expanded over."""
    run = mapped.start("mapped_over_xcoms")
    mapped.value_of(run)
    reads = {task.task_id: [(ref.task_id, ref.whole) for ref in task.reads] for task in run.plan.tasks}
    assert sorted(reads["show"]) == [("more", False), ("some", False)]
    both = mapped.coordinator.catalog.find("mapped_whole_and_each").by_id["show"].reads
    assert [(ref.task_id, ref.whole) for ref in both] == [("some", True)]


def test_a_large_value_is_fetched_when_it_is_used(served: Serving) -> None:
    served.write(
        "large.py",
        HEAD
        + """
@dag(schedule=None)
def large():
    @task
    def make():
        return ["x" * 1_000_000 for _ in range(6)]
    @task
    def measure(texts):
        return sum(len(text) for text in texts)
    @task
    def each(text):
        return len(text)
    @result
    @task
    def both(total, lengths):
        return [total, list(lengths)]
    made = make()
    both(measure(made), each.expand(text=made))
large()
""",
    )
    served.wait_for_dag("large")
    assert served.call("large") == [6_000_000, [1_000_000] * 6]


REFUSED = """
@dag(schedule=None)
def {name}():
    @task
    def ask(ti=None):
        {code}
        return "did it"
    return ask()
{name}()
"""


@pytest.mark.parametrize(
    ("name", "code", "sentence"),
    [
        ("unknown_run", "ti.get_dagrun_state('nobody', 'no_run')", "run_id 'no_run' was not found"),
    ],
)
def test_what_is_not_supported_is_said_in_a_sentence(served: Serving, name: str, code: str, sentence: str) -> None:
    served.write(f"{name}.py", HEAD + REFUSED.format(name=name, code=code))
    served.wait_for_dag(name)
    assert sentence in served.failure(name).message


def test_an_xcom_can_be_deleted(served: Serving) -> None:
    served.write(
        "deletes.py",
        HEAD
        + """
@dag(schedule=None)
def deletes():
    @task
    def push(ti=None):
        ti.xcom_push(key="k", value=1)
        before = ti.xcom_pull(key="k", task_ids="push", map_indexes=-1)
        XCom.delete(key="k", task_id="push", dag_id=ti.dag_id, run_id=ti.run_id, map_index=-1)
        return [before, ti.xcom_pull(key="k", task_ids="push", map_indexes=-1)]
    return push()
deletes()
""",
    )
    served.wait_for_dag("deletes")
    assert served.call("deletes") == [1, None]


def test_a_retry_begins_without_the_xcoms_of_the_last_try(served: Serving) -> None:
    served.write(
        "retried.py",
        HEAD
        + """
from datetime import timedelta
@dag(schedule=None)
def retried():
    @task(retries=1, retry_delay=timedelta(0))
    def push(ti=None):
        seen = ti.xcom_pull(key="k", task_ids="push", map_indexes=-1)
        ti.xcom_push(key="k", value=ti.try_number)
        if ti.try_number == 1:
            raise ValueError("once more")
        return [seen, ti.xcom_pull(key="k", task_ids="push", map_indexes=-1)]
    return push()
retried()
""",
    )
    served.wait_for_dag("retried")
    assert served.call("retried") == [None, 2]


def test_an_upstream_that_has_not_ended_is_not_taken_for_one_without_value(served: Serving) -> None:
    """A rule that lets a task start early: what the slow upstream pushes later can still be pulled."""
    served.write(
        "early.py",
        HEAD
        + """
import time

@dag(schedule=None)
def early():
    @task
    def quick():
        return "quick"
    @task
    def slow(ti=None):
        while ti.xcom_pull(task_ids="eager", key="seen", map_indexes=-1) is None:
            time.sleep(0.005)
        return "slow"
    @task(trigger_rule="one_success")
    def eager(first, second, ti=None):
        ti.xcom_push(key="seen", value=[first, second])
        until = time.monotonic() + 15
        while ti.xcom_pull(task_ids="slow", map_indexes=-1) is None and time.monotonic() < until:
            time.sleep(0.005)
        return [first, second, ti.xcom_pull(task_ids="slow")]
    return eager(quick(), slow())
early()
""",
    )
    served.wait_for_dag("early")
    assert served.call("early") == ["quick", None, "slow"]


def test_callbacks_ask_too(served: Serving) -> None:
    """After the task's end was reported; and its worker is free again afterwards."""
    served.write(
        "asks_late.py",
        HEAD
        + """
from pathlib import Path

def tell(context):
    Path(context["params"]["file"]).write_text(context["ti"].xcom_pull(task_ids="first"))

@dag(schedule=None, params={"file": ""})
def asks_late():
    @task
    def first():
        return "first"
    @task(on_success_callback=tell)
    def second():
        return 2
    first() >> (answer := second())
    return answer
asks_late()
""",
    )
    served.wait_for_dag("asks_late")
    file = served.folder.parent / "told"
    for _ in range(2):
        file.unlink(missing_ok=True)
        assert served.call("asks_late", {"file": str(file)}) == 2
        eventually(lambda: file.exists() and file.read_text() == "first", "the callback was answered")
