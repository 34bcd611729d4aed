"""Upstream XComs that go along with a start, so that most tasks ask for nothing while they run.

Values stay opaque: a list is only cut into its elements' bytes, for `expand`, where an instance needs one element of
a list that all of its siblings share. What is large stays here and is asked for (`SHIPPED_LIMIT`). With a custom XCom
backend nothing is shipped: what it stores here are its own references.
"""

import msgspec

from dagcall.core.machine import RunMachine
from dagcall.model.events import XComItem
from dagcall.model.ids import UNMAPPED, TaskKey
from dagcall.model.plan import RETURN_VALUE, DagPlan, Mapping, MapSource, TaskPlan, XComRef
from dagcall.workers.frames import Shipped

SHIPPED_LIMIT = 4 << 20
"""Bytes of values sent along with one start; a value over it is fetched when it is used, if it is."""

_cut = msgspec.msgpack.Decoder(list[msgspec.Raw]).decode


class Shipper:
    """Cuts and ships the XComs of one run; remembers the lists it has cut."""

    def __init__(self, plan: DagPlan, machine: RunMachine) -> None:
        self._plan = plan
        self._machine = machine
        self._cut: dict[str, tuple[XComItem, list[msgspec.Raw] | None]] = {}
        self._collected: dict[str, list[bytes]] = {}

    def xcoms_for(self, task: TaskPlan, map_index: int) -> list[Shipped]:
        """What `task` is known to read, as far as it fits."""
        if self._plan.has_custom_xcom_backend:
            return []
        shipped: list[Shipped] = []
        room = SHIPPED_LIMIT
        for ref in task.reads:
            item = self._ship(task, map_index, ref)
            if item is None:
                continue
            room -= sum(len(value) for value in item.values)
            if room < 0:
                break
            shipped.append(item)
        return shipped

    def _ship(self, task: TaskPlan, map_index: int, ref: XComRef) -> Shipped | None:
        upstream = self._plan.by_id.get(ref.task_id)
        if upstream is None:
            return None
        mapped = upstream.needs_expansion
        if not ref.whole and map_index >= 0:
            mapping = self._plan.mappings[ref.group] if ref.group else task.mapping
            assert mapping is not None
            return self._ship_element(mapping, map_index, ref, mapped=mapped)
        if map_index >= 0 and not set(task.mapped_groups).isdisjoint(upstream.mapped_groups):
            return self._ship_alongside(map_index, ref)
        if not self._has_ended(upstream):
            return None  # under a trigger rule such as `one_success`: it may push while this task runs
        items = self._machine.xcoms.all_of(ref.task_id, ref.key)
        return Shipped(ref.task_id, ref.key, mapped, [item.value for item in items])

    def _ship_alongside(self, map_index: int, ref: XComRef) -> Shipped | None:
        """To an instance in a mapped task group, of another task in it: of the same map index, which is what the Task
        SDK asks for however deeply either of them is nested."""
        instance = self._machine.instance(TaskKey(ref.task_id, map_index))
        if instance is not None and not instance.state.is_final:
            return None
        item = self._machine.xcoms.get(ref.task_id, map_index, ref.key)
        return Shipped(ref.task_id, ref.key, True, [] if item is None else [item.value], map_index=map_index)

    def _has_ended(self, upstream: TaskPlan) -> bool:
        width = self._machine.expand_width(upstream.task_id)
        indexes = (UNMAPPED,) if width is None else range(width)
        instances = [self._machine.instance(TaskKey(upstream.task_id, index)) for index in indexes]
        return all(instance is not None and instance.state.is_final for instance in instances)

    def _ship_element(self, mapping: Mapping, map_index: int, ref: XComRef, *, mapped: bool) -> Shipped | None:
        index = map_index
        for source in reversed(mapping.sources):
            # The last argument varies fastest, as `DictOfListsExpandInput._expand_mapped_field` counts.
            length = self._length(source)
            if not length:
                return None
            if source.kind == "xcom" and source.task_id == ref.task_id:
                return self._element(ref.task_id, index % length, length, mapped=mapped)
            index //= length
        return None

    def _element(self, task_id: str, index: int, length: int, *, mapped: bool) -> Shipped | None:
        elements = self._collected_from(task_id) if mapped else self._elements(task_id)
        value = bytes(elements[index]) if elements is not None and index < len(elements) else None
        return None if value is None else Shipped(task_id, RETURN_VALUE, mapped, [value], index, length)

    def _length(self, source: MapSource) -> int | None:
        """Length of an expanded argument; None where finding it is not worth it, then nothing is shipped."""
        if source.kind == "literal":
            return source.length
        if source.kind != "xcom":
            return None
        if self._plan.by_id[source.task_id].mapping is not None:
            return len(self._collected_from(source.task_id))
        item = self._machine.xcoms.get(source.task_id, UNMAPPED, RETURN_VALUE)
        return None if item is None else item.mapped_length

    def _collected_from(self, task_id: str) -> list[bytes]:
        """Values of a mapped upstream: it has ended before anything expands over it, so they are listed once."""
        values = self._collected.get(task_id)
        if values is None:
            items = self._machine.xcoms.all_of(task_id, RETURN_VALUE)
            values = self._collected[task_id] = [item.value for item in items]
        return values

    def _elements(self, task_id: str) -> list[msgspec.Raw] | None:
        item = self._machine.xcoms.get(task_id, UNMAPPED, RETURN_VALUE)
        if item is None:
            return None
        known = self._cut.get(task_id)
        if known is None or known[0] is not item:
            try:
                elements: list[msgspec.Raw] | None = _cut(item.value)
            except msgspec.MsgspecError:
                elements = None  # a dict: its instances get key and value, made by the Task SDK from the whole
            known = self._cut[task_id] = (item, elements)
        return known[1]
