"""The XComs of one run, as they are visible to its tasks and to readers of the run. Values are opaque bytes."""

from collections.abc import Iterator

from dagcall.model.events import XComItem


class RunXComs:
    """XComs by (task_id, map_index, key). Changed by the run's machine only; everybody else reads."""

    __slots__ = ("_by_task",)

    def __init__(self) -> None:
        self._by_task: dict[str, dict[str, dict[int, XComItem]]] = {}

    def get(self, task_id: str, map_index: int, key: str) -> XComItem | None:
        return self._by_task.get(task_id, {}).get(key, {}).get(map_index)

    def all_of(self, task_id: str, key: str) -> list[XComItem]:
        """What all instances of a task pushed under `key`, in map order; those that pushed nothing are left out."""
        items = self._by_task.get(task_id, {}).get(key, {})
        return [items[map_index] for map_index in sorted(items)]

    def map_indexes(self, task_id: str, key: str) -> list[int]:
        """Which instances pushed `key`, ascending: parallel to `all_of`."""
        return sorted(self._by_task.get(task_id, {}).get(key, ()))

    def count(self, task_id: str, key: str) -> int:
        """How many instances of a task pushed `key`."""
        return len(self._by_task.get(task_id, {}).get(key, ()))

    def keys(self, task_id: str, map_index: int) -> list[str]:
        """The keys that one task instance pushed, in the order of first use within the task."""
        return [key for key, items in self._by_task.get(task_id, {}).items() if map_index in items]

    def items(self) -> Iterator[tuple[str, int, XComItem]]:
        """All of the run: (task_id, map_index, item)."""
        for task_id, keys in self._by_task.items():
            for items in keys.values():
                for map_index in sorted(items):
                    yield task_id, map_index, items[map_index]

    def put(self, task_id: str, map_index: int, item: XComItem) -> None:
        self._by_task.setdefault(task_id, {}).setdefault(item.key, {})[map_index] = item

    def delete(self, task_id: str, map_index: int, key: str) -> bool:
        """Forget one XCom; False when there is none."""
        return self._by_task.get(task_id, {}).get(key, {}).pop(map_index, None) is not None

    def drop(self, task_id: str, map_index: int) -> None:
        """Forget all that one task instance pushed: its next try starts with none, as in Airflow."""
        for items in self._by_task.get(task_id, {}).values():
            items.pop(map_index, None)
