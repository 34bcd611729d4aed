"""The catalog over scripted files: what serves when files change at awkward moments."""

import asyncio
from dataclasses import dataclass, field
from typing import Any

import pytest

from dagcall.coordinator import catalog as module
from dagcall.coordinator.catalog import Catalog
from dagcall.coordinator.exposure import Exposure
from dagcall.errors import DagBroken, DagNotFound, Loading, Unavailable
from dagcall.model import bundle
from dagcall.model.plan import DagPlan
from dagcall.workers.frames import Dependency

pytestmark = pytest.mark.anyio


@dataclass(eq=False)
class ScriptedCode:
    """Implements `workers.base.Code`."""

    path: str
    version: str
    plans: dict[str, DagPlan] = field(default_factory=dict)
    errors: list[tuple[str, str]] = field(default_factory=list)
    dependencies: list[Dependency] = field(default_factory=list)
    is_open: bool = False


class ScriptedFiles:
    """What of `workers.base.Workers` a catalog uses, over files that tests write."""

    def __init__(self) -> None:
        self.on_disk: dict[str, tuple[str, tuple[str, ...], str | None]] = {}
        self.hanging: dict[str, asyncio.Event] = {}
        self.parsed = asyncio.Event()
        self.may_open = asyncio.Event()
        self.may_open.set()
        self.lost = 0
        self.closed: list[str] = []
        self.loads: list[str] = []

    def write(self, path: str, version: str, *dag_ids: str, error: str | None = None) -> None:
        self.on_disk[path] = (version, dag_ids, error)

    def parse(self, path: str) -> ScriptedCode:
        version, dag_ids, error = self.on_disk[path]
        name = path.removeprefix("/dags/")
        plans = {dag_id: DagPlan(dag_id, version, path, name, ()) for dag_id in dag_ids}
        errors = [] if error is None else [(name, error)]
        return ScriptedCode(path, version, plans, errors, [Dependency(path, version), Dependency("/dags/lib.py", "")])

    async def list_files(self) -> list[str]:
        return sorted(self.on_disk)

    async def load(self, path: str) -> ScriptedCode:
        self.loads.append(path)
        if self.lost:
            self.lost -= 1
            raise Unavailable("the zygote process is being restarted")
        if path in self.hanging:
            await self.hanging[path].wait()
        return self.parse(path)

    async def open(self, code: ScriptedCode) -> ScriptedCode:
        now = self.parse(code.path)
        self.parsed.set()
        await self.may_open.wait()
        target = code if now.version == code.version else now
        target.is_open = True
        return target

    def close(self, code: ScriptedCode) -> None:
        self.closed.append(code.version)


class World:
    def __init__(self) -> None:
        self.files = ScriptedFiles()
        self.released: list[str] = []
        workers: Any = self.files
        self.exposure = Exposure()
        self.catalog = Catalog(
            bundle.folder("/dags"),
            workers,
            lambda: 5.0,
            lambda code: self.released.append(code.version),
            exposure=self.exposure,
        )

    def version(self, dag_id: str) -> str:
        return self.catalog.find(dag_id).version

    def errors(self) -> dict[str, str]:
        return {error.path: error.text for error in self.catalog.import_errors()}


@pytest.fixture
def world(monkeypatch: pytest.MonkeyPatch) -> World:
    monkeypatch.setattr(module, "SETTLE", 0.0)
    return World()


async def test_nothing_is_served_before_all_is_loaded(world: World) -> None:
    world.files.write("/dags/a.py", "1", "a")
    with pytest.raises(Loading):
        world.catalog.find("a")
    await world.catalog.refresh()
    assert world.catalog.is_loaded
    assert world.version("a") == "1"
    with pytest.raises(DagNotFound):
        world.catalog.find("b")


async def test_only_what_depends_on_a_change_is_parsed_again(world: World) -> None:
    world.files.write("/dags/a.py", "1", "a")
    world.files.write("/dags/b.py", "1", "b")
    await world.catalog.refresh()
    world.files.loads.clear()
    await world.catalog.refresh({"/dags/a.py"})
    assert world.files.loads == ["/dags/a.py"]
    await world.catalog.refresh({"/dags/lib.py"})
    assert world.files.loads == ["/dags/a.py", "/dags/a.py", "/dags/b.py"]
    assert world.released == []


async def test_a_new_version_replaces_and_releases_the_old(world: World) -> None:
    world.files.write("/dags/a.py", "1", "a")
    await world.catalog.refresh()
    world.files.write("/dags/a.py", "2", "a")
    await world.catalog.refresh({"/dags/a.py"})
    assert (world.version("a"), world.released) == ("2", ["1"])


async def test_a_broken_version_is_shown_and_does_not_replace(world: World) -> None:
    world.files.write("/dags/a.py", "1", "a")
    await world.catalog.refresh()
    world.files.write("/dags/a.py", "2", error="Traceback\nValueError: no")
    await world.catalog.refresh({"/dags/a.py"})
    first = world.catalog.import_errors()
    assert world.version("a") == "1"
    assert world.errors() == {"a.py": "Traceback\nValueError: no"}
    await world.catalog.refresh({"/dags/a.py"})
    assert world.catalog.import_errors() == first, "the same error keeps its number"
    world.files.write("/dags/a.py", "1", "a")
    await world.catalog.refresh({"/dags/anything"})  # what it lacked may be anywhere
    assert (world.version("a"), world.errors()) == ("1", {})


async def test_a_version_that_no_process_holds_cannot_serve_once_its_file_is_broken(world: World) -> None:
    world.files.write("/dags/a.py", "1", "a")
    await world.catalog.refresh()
    served = world.catalog.served("a")
    world.files.write("/dags/a.py", "2", error="Traceback\nValueError: no")
    with pytest.raises(DagBroken, match=r"a\.py does not import: ValueError: no"):
        await world.catalog.opened(served)
    assert "2" in world.files.closed
    world.files.write("/dags/a.py", "3", "a")
    assert (await world.catalog.opened(world.catalog.served("a"))).plan.version == "3"


async def test_opening_takes_what_is_on_disk(world: World) -> None:
    world.files.write("/dags/a.py", "1", "a")
    await world.catalog.refresh()
    served = world.catalog.served("a")
    world.files.write("/dags/a.py", "2", "a")
    both = await asyncio.gather(world.catalog.opened(served), world.catalog.opened(served))
    assert {one.plan.version for one in both} == {"2"}
    assert all(one.code.is_open and one.code is world.catalog.served("a").code for one in both)
    assert "1" in world.released


async def test_a_version_that_replaces_an_open_one_is_open(world: World) -> None:
    """So that calls go on when its file is broken before the next call comes."""
    world.files.write("/dags/a.py", "1", "a")
    await world.catalog.refresh()
    await world.catalog.opened(world.catalog.served("a"))
    world.files.write("/dags/a.py", "2", "a")
    await world.catalog.refresh({"/dags/a.py"})
    world.files.write("/dags/a.py", "3", error="broken")
    await world.catalog.refresh({"/dags/a.py"})
    served = world.catalog.served("a")
    assert (served.plan.version, served.code.is_open) == ("2", True)


async def test_a_file_that_breaks_between_parsing_and_opening(world: World) -> None:
    world.files.write("/dags/a.py", "1", "a")
    await world.catalog.refresh()
    await world.catalog.opened(world.catalog.served("a"))
    load = world.files.load

    async def load_and_break(path: str) -> ScriptedCode:
        code = await load(path)
        world.files.write("/dags/a.py", "3", error="broken")
        return code

    world.files.load = load_and_break  # type: ignore[method-assign]
    world.files.write("/dags/a.py", "2", "a")
    await world.catalog.refresh({"/dags/a.py"})
    served = world.catalog.served("a")
    assert (served.plan.version, served.code.is_open) == ("1", True)
    assert world.errors() == {"a.py": "broken"}
    assert world.files.closed == ["3"]


async def test_opening_does_not_go_back_behind_a_reload(world: World) -> None:
    world.files.write("/dags/a.py", "1", "a")
    await world.catalog.refresh()
    world.files.write("/dags/a.py", "2", "a")
    world.files.may_open.clear()
    opening = asyncio.ensure_future(world.catalog.opened(world.catalog.served("a")))
    await world.files.parsed.wait()
    world.files.write("/dags/a.py", "3", "a")
    await world.catalog.refresh({"/dags/a.py"})
    world.files.may_open.set()
    assert (await opening).plan.version == "3"
    assert world.version("a") == "3"


async def test_a_file_that_is_empty_for_a_moment_keeps_its_dags(world: World) -> None:
    world.files.write("/dags/a.py", "1", "a")
    await world.catalog.refresh()
    served = []
    parse = world.files.parse

    def empty_once(path: str) -> ScriptedCode:
        world.files.parse = parse  # type: ignore[method-assign]
        served.append(world.version("a"))
        return ScriptedCode(path, "empty")

    world.files.parse = empty_once  # type: ignore[method-assign]
    world.files.write("/dags/a.py", "2", "a")
    await world.catalog.refresh({"/dags/a.py"})
    assert served == ["1"]
    assert world.version("a") == "2"
    world.files.write("/dags/a.py", "3")
    await world.catalog.refresh({"/dags/a.py"})
    with pytest.raises(DagNotFound):
        world.catalog.find("a")


async def test_a_file_that_is_missing_for_a_moment_keeps_its_dags(world: World) -> None:
    world.files.write("/dags/a.py", "1", "a")
    await world.catalog.refresh()
    listings = iter([[], ["/dags/a.py"]])

    async def list_files() -> list[str]:
        return next(listings)

    world.files.list_files = list_files  # type: ignore[method-assign]
    world.files.write("/dags/a.py", "2", "a")
    await world.catalog.refresh(set())
    assert (world.version("a"), world.released) == ("2", ["1"])


async def test_a_file_that_hangs_delays_no_other(world: World) -> None:
    world.files.write("/dags/a.py", "1", "a")
    await world.catalog.refresh()
    world.files.hanging["/dags/b.py"] = asyncio.Event()
    world.files.write("/dags/b.py", "1", "b")
    await world.catalog.look(set())
    world.files.write("/dags/a.py", "2", "a")
    await world.catalog.look({"/dags/a.py"})
    for _ in range(10):
        await asyncio.sleep(0)
    assert world.version("a") == "2"
    with pytest.raises(DagNotFound):
        world.catalog.find("b")
    world.files.hanging["/dags/b.py"].set()
    await world.catalog.refresh(set())
    assert world.version("b") == "1"


async def test_a_change_during_a_load_is_not_lost(world: World) -> None:
    world.files.hanging["/dags/a.py"] = asyncio.Event()
    world.files.write("/dags/a.py", "1", "a")
    await world.catalog.look()
    await asyncio.sleep(0)
    world.files.write("/dags/a.py", "2", "a")
    await world.catalog.look({"/dags/a.py"})
    world.files.hanging.pop("/dags/a.py").set()
    await world.catalog.refresh(set())
    assert world.version("a") == "2"


async def test_a_file_is_parsed_again_when_something_changes_that_it_may_have_asked_for(world: World) -> None:
    world.files.hanging["/dags/a.py"] = asyncio.Event()
    world.files.write("/dags/a.py", "1", "a")
    await world.catalog.look()
    await asyncio.sleep(0)
    assert world.catalog.depends_on("variable:k")
    await world.catalog.look({"variable:k"})
    world.files.hanging.pop("/dags/a.py").set()
    await world.catalog.refresh(set())
    assert world.files.loads == ["/dags/a.py"] * 2
    assert not world.catalog.depends_on("variable:k")


async def test_a_lost_zygote_is_not_the_files_fault(world: World) -> None:
    world.files.write("/dags/a.py", "1", "a")
    world.files.lost = 3
    await world.catalog.refresh()
    assert (world.version("a"), world.errors()) == ("1", {})


async def test_one_dag_id_in_two_files(world: World) -> None:
    world.files.write("/dags/b.py", "b1", "x", "b")
    world.files.write("/dags/a.py", "a1", "x")
    await world.catalog.refresh()
    assert world.version("x") == "a1", "at the start, the first by path"
    assert "also found in a.py" in world.errors()["b.py"]
    world.files.write("/dags/0.py", "01", "x")
    await world.catalog.refresh(set())
    assert world.version("x") == "a1", "who has it keeps it"
    assert set(world.errors()) == {"0.py", "b.py"}
    del world.files.on_disk["/dags/a.py"]
    await world.catalog.refresh(set())
    assert world.version("x") == "01"
    assert set(world.errors()) == {"b.py"}
    world.files.write("/dags/0.py", "02")
    await world.catalog.refresh({"/dags/0.py"})
    assert (world.version("x"), world.version("b"), world.errors()) == ("b1", "b1", {})


async def test_a_file_that_never_imported(world: World) -> None:
    world.files.write("/dags/by_name.py", "1", error="Traceback\nImportError: gone")
    await world.catalog.refresh()
    with pytest.raises(DagBroken, match="ImportError: gone"):
        world.catalog.find("by_name")
    with pytest.raises(DagNotFound):
        world.catalog.find("other")


async def test_of_two_bundles_the_one_configured_first_has_a_dag(world: World) -> None:
    first, second = bundle.Bundle("first", "/dags/z"), bundle.Bundle("second", "/dags/a")
    world.catalog.serve(bundle.Bundles([first, second]))
    world.files.write("/dags/z/x.py", "1", "both")
    world.files.write("/dags/a/x.py", "2", "both", "own")
    await world.catalog.refresh()
    assert (world.version("both"), world.version("own")) == ("1", "2")
    (error,) = world.catalog.import_errors()
    assert (error.bundle, error.path) == ("second", "a/x.py")
    assert "DuplicatedId" in error.text


async def test_what_is_not_exposed_is_not_found_and_says_why(world: World) -> None:
    world.exposure.apply("tagged")
    world.files.write("/dags/a.py", "1", "batch")
    world.files.write("/dags/b.py", "1", "another")
    await world.catalog.refresh()
    assert world.catalog.plans() == []
    with pytest.raises(
        DagNotFound, match=r"not exposed here: it has not the tag `dagcall` \(\[dagcall\] expose = tagged"
    ):
        world.catalog.served("batch")
    hidden = world.catalog.served("batch", hidden=True)
    assert hidden.plan.version == "1"
    world.files.write("/dags/a.py", "2", "batch")
    await world.catalog.refresh({"/dags/a.py"})
    assert world.catalog.served("batch", hidden=True).plan.version == "2"
    assert world.catalog.served("another", hidden=True) is world.catalog.served("another", hidden=True)
