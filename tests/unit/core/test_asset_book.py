"""What follows from the outlets of a task: events, queue entries, DAGs that are due."""

from collections.abc import Callable
from dataclasses import replace
from typing import Any

from dagcall.core.asset_book import AssetBook
from dagcall.core.asset_outlets import changes_of, with_events
from dagcall.model.assets import (
    AliasDeclaration,
    Asset,
    AssetChanges,
    AssetCondition,
    AssetDeclaration,
    AssetKey,
    AssetRef,
    KeptAssets,
    OutletEvent,
    Outlets,
    Queued,
    Reference,
    Source,
)
from dagcall.model.commands import EmitAssetEvents
from dagcall.model.events import AttemptEnded, CancelRequested, EndKind
from dagcall.model.plan import DagPlan, Refusal, Retry, TaskPlan

A = AssetRef("asset", "a", "s3://a")
B = AssetRef("asset", "b", "s3://b")
ALIAS = AssetRef("alias", "alias")
BY_NAME = AssetRef("name_ref", "a")
BY_URI = AssetRef("uri_ref", uri="s3://a")
SOURCE = Source("producer", "make", "r1")


def one(ref: AssetRef) -> AssetCondition:
    return AssetCondition("ref", ref)


def every(*refs: AssetRef) -> AssetCondition:
    return AssetCondition("all", parts=tuple(one(ref) for ref in refs))


def plan(dag_id: str, *tasks: TaskPlan, on: AssetCondition | None = None, **more: object) -> DagPlan:
    refs = [*(on.refs() if on else ()), *(ref for task in tasks for ref in (*task.inlets, *task.outlets))]
    assets = tuple(dict.fromkeys(AssetDeclaration(ref.name, ref.uri) for ref in refs if ref.kind == "asset"))
    aliases = tuple(dict.fromkeys(AliasDeclaration(ref.name) for ref in refs if ref.kind == "alias"))
    return DagPlan(
        dag_id,
        "v",
        "f",
        "f",
        tasks,
        asset_condition=on,
        assets=assets,
        asset_aliases=aliases,
        **more,  # type: ignore[arg-type]
    )


PRODUCER = plan("producer", TaskPlan("make", outlets=(A, B, ALIAS)))


class Log:
    """A journal that keeps everything at once."""

    def __init__(self, *plans: DagPlan, now: float = 100.0) -> None:
        self.kept = KeptAssets()
        self.book = AssetBook(self.kept)
        self.now = now
        self.declare(*plans)

    def declare(self, *plans: DagPlan) -> None:
        self.book.declare(plans, self.now)
        self.keep(with_events(self.book, ()))

    def emit(self, *refs: AssetRef, events: tuple[OutletEvent, ...] = (), source: Source = SOURCE) -> AssetChanges:
        self.now += 1
        return self.keep(changes_of(self.book, Outlets(refs, events), source, self.now))

    def keep(self, changes: AssetChanges) -> AssetChanges:
        self.book.apply(changes)
        return changes

    def restarted(self, *plans: DagPlan) -> AssetBook:
        """A book over what is kept of this one."""
        kept = KeptAssets(
            assets=tuple(self.book.assets.values()),
            aliases=tuple(self.book.aliases.values()),
            references=tuple(self.book.references.items()),
            queued=tuple(self.book.queued()),
            started=tuple(self.book._started.items()),
            last_event=self.book._last_event,
            last_timestamp=self.book._last_timestamp,
        )
        book = AssetBook(kept)
        book.declare(plans, self.now)
        return book


def test_each_outlet_makes_an_event_with_its_source() -> None:
    log = Log(PRODUCER)
    changes = log.emit(A, B, A)
    assert [(event.id, event.asset_id, event.source, event.extra) for event in changes.events] == [
        (1, 1, SOURCE, b"{}"),
        (2, 2, SOURCE, b"{}"),
    ]
    assert changes.events[0].timestamp < changes.events[1].timestamp


def test_what_a_task_says_of_an_asset_is_an_event_each() -> None:
    log = Log(PRODUCER)
    said = (
        OutletEvent(A.key, b'{"n":1}', "p1"),
        OutletEvent(A.key, b'{"n":1}', "p2"),
        OutletEvent(AssetKey("other", "x"), b'{"n":2}'),
    )
    events = log.emit(A, events=said).events
    assert [(event.asset_id, event.extra, event.partition_key) for event in events] == [
        (1, b'{"n":1}', "p1"),
        (1, b'{"n":1}', "p2"),
    ]


def test_references_stand_for_the_active_asset() -> None:
    log = Log(PRODUCER)
    assert [event.asset_id for event in log.emit(BY_NAME, BY_URI).events] == [1, 1]
    assert log.emit(AssetRef("name_ref", "nobody")).events == ()


def test_an_asset_that_nobody_names_any_more_makes_no_event() -> None:
    log = Log(PRODUCER)
    log.declare(plan("producer", TaskPlan("make")))
    assert log.emit(A).events == ()
    assert log.book.inactive((A,)) == [A.key]
    assert log.book.find(A.key) is not None


def test_names_and_uris_are_unique_among_active_assets() -> None:
    same_name = AssetRef("asset", "a", "s3://elsewhere")
    same_uri = AssetRef("asset", "else", "s3://a")
    log = Log(PRODUCER, plan("rival", TaskPlan("t", outlets=(same_name, same_uri))))
    assert log.book.inactive((A, same_name, same_uri)) == [same_name.key, same_uri.key]
    log.declare(plan("rival", TaskPlan("t", outlets=(same_name, same_uri))))
    assert log.book.inactive((A, same_name)) == [A.key]


def test_through_an_alias_an_asset_is_made() -> None:
    log = Log(PRODUCER, plan("consumer", on=one(ALIAS)))
    new = AssetKey("new", "s3://new")
    said = OutletEvent(new, b'{"n": 1}', alias="alias", asset_extra=b'{"from": "task"}')
    changes = log.emit(ALIAS, events=(said,))
    (made,) = changes.assets
    assert (made.key, made.group, made.extra) == (new, "asset", b'{"from": "task"}')
    assert [(event.asset_id, event.aliases) for event in changes.events] == [(made.id, ("alias",))]
    assert log.book.behind("alias") == (new,)
    assert made.id in log.book.active
    assert log.book.due() == ["consumer"]


def test_one_event_for_all_aliases_that_say_the_same() -> None:
    second = AssetRef("alias", "second")
    log = Log(PRODUCER, plan("more", TaskPlan("t", outlets=(second,))))

    def say(alias: str, extra: bytes) -> OutletEvent:
        return OutletEvent(A.key, extra, alias=alias)

    said = (
        say("alias", b'{"a":1,"b":2}'),
        say("second", b'{"b":2,"a":1}'),
        say("second", b'{"c":3}'),
        say("no", b"{}"),
    )
    events = log.emit(ALIAS, second, events=said).events
    assert [event.aliases for event in events] == [("alias", "second"), ("second",)]


def test_a_dag_is_due_when_its_condition_is_met() -> None:
    log = Log(PRODUCER, plan("both", on=every(A, B)), plan("named", on=one(BY_NAME)), plan("located", on=one(BY_URI)))
    log.emit(A)
    assert log.book.due() == ["named", "located"]
    log.emit(B)
    assert sorted(log.book.due()) == ["both", "located", "named"]


def test_a_refused_dag_is_never_due() -> None:
    log = Log(PRODUCER, plan("refused", on=one(A), refusals=(Refusal(None, "x", "y"),)))
    log.emit(A)
    assert log.book.due() == []
    assert log.book.queued() == []


def test_events_of_partitions_start_nothing() -> None:
    log = Log(PRODUCER, plan("consumer", on=one(A)))
    log.emit(A, events=(OutletEvent(A.key, partition_key="p"),))
    assert log.book.due() == []


def test_an_asset_is_queued_with_its_last_event_until_a_run_takes_it() -> None:
    log = Log(PRODUCER, plan("both", on=every(A, B)))
    log.emit(A)
    assert log.book.queued() == [Queued("both", 1, 101.0)]
    log.emit(A)
    assert log.book.queued() == [Queued("both", 1, 102.0)]
    log.emit(B)
    taken = log.book.take("both")
    assert [entry.asset_id for entry in taken] == [1, 2]
    log.emit(A)
    assert log.book.queued() == [Queued("both", 1, 104.0)]
    log.keep(AssetChanges(dequeued=taken, started=(("both", 103.0),)))
    assert log.book.queued() == [Queued("both", 1, 104.0)], "what came meanwhile is for the next run"
    assert log.book.consumed_until("both") == 103.0


def test_a_run_that_could_not_start_leaves_the_queue_as_it_was() -> None:
    log = Log(PRODUCER, plan("both", on=every(A, B)))
    log.emit(A, B)
    before = log.book.queued()
    taken = log.book.take("both")
    assert log.book.due() == []
    log.emit(A)
    log.book.put_back(taken)
    assert {entry.asset_id for entry in log.book.queued()} == {1, 2}
    assert log.book.queued(asset_id=2) == [before[1]]
    assert log.book.queued(asset_id=1)[0].created_at > before[0].created_at, "the newer entry is the durable one"


def test_nothing_takes_effect_before_it_is_durable() -> None:
    log = Log(PRODUCER, plan("consumer", on=one(A)))
    changes = changes_of(log.book, Outlets((A,)), SOURCE, 200.0)
    assert log.book.due() == []
    log.keep(changes)
    assert log.book.due() == ["consumer"]


def test_declarations_ride_on_each_change_until_they_are_durable() -> None:
    book = AssetBook(KeptAssets())
    book.declare([PRODUCER], 100.0)
    first = changes_of(book, Outlets((A,)), SOURCE, 101.0)
    second = changes_of(book, Outlets((B,)), SOURCE, 102.0)
    assert first.assets == second.assets
    assert [asset.key for asset in first.assets] == [A.key, B.key]
    book.apply(second)
    assert changes_of(book, Outlets((A,)), SOURCE, 103.0).assets == ()


def test_a_changed_declaration_keeps_its_id() -> None:
    log = Log(PRODUCER)
    changed = replace(PRODUCER, assets=(AssetDeclaration("a", "s3://a", "model", b'{"v":2}'), *PRODUCER.assets[1:]))
    log.now = 150.0
    log.declare(changed)
    asset = log.book.find(A.key)
    assert asset is not None
    assert (asset.id, asset.group, asset.extra, asset.created_at, asset.updated_at) == (
        1,
        "model",
        b'{"v":2}',
        100.0,
        150.0,
    )


def test_a_reference_dates_from_when_it_was_first_seen() -> None:
    consumer = plan("consumer", on=one(A))
    log = Log(PRODUCER, consumer)
    reference = Reference("schedule", "consumer", "", 1)
    log.now = 200.0
    log.declare(PRODUCER)
    assert reference not in log.book.references
    log.declare(PRODUCER, consumer)
    assert log.book.references[reference] == 100.0, "a file that did not import for a moment"
    log.declare(PRODUCER, plan("consumer", on=one(B)))
    log.declare(PRODUCER, consumer)
    assert log.book.references[reference] == 200.0


def test_a_first_run_is_given_no_backlog_unless_the_dag_catches_up() -> None:
    log = Log(PRODUCER, plan("new", on=one(A)), plan("all", on=one(A), catchup=True), plan("named", on=one(BY_NAME)))
    assert log.book.consumed_until("new") == 100.0
    assert log.book.consumed_until("all") is None
    assert log.book.consumed_until("named") is None
    assert log.book.consumes("new") == ({1}, set())
    assert log.book.consumes("named") == (set(), set())


def test_an_entry_of_a_dag_that_is_no_longer_scheduled_on_assets_is_stale() -> None:
    log = Log(PRODUCER, plan("both", on=every(A, B)))
    log.emit(A)
    log.declare(PRODUCER)
    assert log.book.stale({"producer"}) == []
    log.declare(PRODUCER, plan("both"))
    assert log.book.stale({"producer", "both"}) == log.book.queued()


def test_a_restart_goes_on_where_it_was() -> None:
    consumer = plan("consumer", on=every(A, B))
    log = Log(PRODUCER, consumer)
    log.emit(A)
    log.emit(B)
    book = log.restarted(PRODUCER, consumer)
    assert book.due() == ["consumer"]
    assert book.take("consumer") == log.book.take("consumer")
    event, _ = book.event(book.assets[1], SOURCE, b"{}", 0.0)
    assert event.id == 3
    assert event.timestamp > 102.0, "even where the clock went back"


def test_only_the_recorded_success_of_a_task_speaks_of_its_outlets(
    task: Callable[..., TaskPlan], run_of: Callable[..., Any]
) -> None:
    said = Outlets((A,))
    run = run_of(task("a", retry=Retry(1, 0.0)), task("b"), task("c"))
    attempt = run.attempt("a")
    run.end("a", "retry")
    run.feed(run.timers[0].event)
    run.end("a", outlets=said)
    run.feed(AttemptEnded(attempt, 1, EndKind.SUCCESS, outlets=said))
    run.end("b", "skipped", outlets=said)
    late = run.attempt("c")
    run.start("c")
    run.feed(CancelRequested())
    run.feed(AttemptEnded(late, 1, EndKind.SUCCESS, outlets=said))
    assert run.of(EmitAssetEvents) == [EmitAssetEvents("a", -1, said)]


def test_books_of_one_journal_come_to_the_same_ids_and_to_the_same_queue() -> None:
    """Each server hears of what the other has made durable, and reads it."""
    consumer = plan("consumer", on=AssetCondition("all", parts=(one(A), one(B))))
    books = [AssetBook(KeptAssets(), shared=True) for _ in range(2)]
    for book, plans in zip(books, ((PRODUCER, consumer), (plan("first", on=one(B)), consumer, PRODUCER)), strict=True):
        book.declare(plans, 100.0)
        book.apply(with_events(book, ()))
    ids = [[book.find(ref.key) for ref in (A, B)] for book in books]
    assert [found.id for found in ids[0] if found] == [found.id for found in ids[1] if found]
    assert len({found.id for found in ids[0] if found}) == 2

    changes = [changes_of(book, Outlets((ref,)), SOURCE, 101.0) for book, ref in zip(books, (A, B), strict=True)]
    for book, own in zip(books, changes, strict=True):
        book.apply(own)
    assert [book.due() for book in books] == [[], ["first"]]
    kept = KeptAssets(
        assets=tuple(books[0].assets.values()),
        aliases=tuple(replace(alias, assets=(7,)) for alias in books[0].aliases.values()),
        queued=(*changes[0].queued, *changes[1].queued),
        last_event=40,
        last_timestamp=200.0,
    )
    assert kept.aliases
    kept = replace(kept, assets=(*kept.assets, replace(kept.assets[0], id=7, name="seven", uri="s3://7")))
    for book in books:
        book.refresh(kept)
    assert [sorted(book.due()) for book in books] == [["consumer"], ["consumer", "first"]]
    assert [book.behind(ALIAS.name) for book in books] == [(AssetKey("seven", "s3://7"),)] * 2
    made = [event for book in books for event in changes_of(book, Outlets((A,)), SOURCE, 102.0).events]
    assert all(event.id > 40 and event.timestamp > 200.0 for event in made)

    taken = books[0].take("consumer")
    books[0].apply(AssetChanges(dequeued=taken))
    books[1].refresh(replace(kept, queued=tuple(entry for entry in kept.queued if entry not in taken)))
    assert [book.due() for book in books] == [[], ["first"]]


def test_what_two_servers_add_to_an_alias_at_once_is_kept_together() -> None:
    book = AssetBook(KeptAssets(), shared=True)
    book.declare((PRODUCER,), 100.0)
    mine = changes_of(book, Outlets((ALIAS,), (OutletEvent(A.key, alias=ALIAS.name),)), SOURCE, 101.0)
    book.apply(mine)
    (alias,) = mine.aliases
    other = Asset(7, "seven", "s3://7", "asset", b"{}", 1.0, 1.0)
    book.refresh(KeptAssets(assets=(other,), aliases=(replace(alias, assets=(7,)),)))
    assert set(book.behind(ALIAS.name)) == {A.key, AssetKey("seven", "s3://7")}
    assert [set(one.assets) for one in book.unsaved().aliases] == [{7, *alias.assets}]
