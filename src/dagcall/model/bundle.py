"""DAG bundles: the folders whose DAG files are served, by the names that Airflow has for them. Values only."""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass

DAGS_FOLDER = "dags-folder"
"""Airflow's name for the bundle of `[core] dags_folder`, and ours for the folder that `dagcall serve` is given."""


@dataclass(frozen=True)
class Bundle:
    """`version`: of its content, where the bundle has versions (a commit, say). `path` is absolute."""

    name: str
    path: str
    version: str | None = None
    is_versioned: bool = False
    """It changes only when it is refreshed, and then has another version."""

    @property
    def prefix(self) -> str:
        """Of the paths of its files."""
        return self.path.rstrip("/") + "/"


class Bundles:
    """All that are served, in the order of Airflow's configuration. Immutable."""

    def __init__(self, bundles: Iterable[Bundle] = ()) -> None:
        self._bundles = tuple(bundles)
        self._deepest = sorted(self._bundles, key=lambda bundle: -len(bundle.path))

    def __iter__(self) -> Iterator[Bundle]:
        return iter(self._bundles)

    def __len__(self) -> int:
        return len(self._bundles)

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Bundles) and self._bundles == other._bundles

    def __hash__(self) -> int:
        return hash(self._bundles)

    def of(self, path: str) -> Bundle | None:
        """Whose file this is. Of bundles within bundles: the innermost."""
        return next((bundle for bundle in self._deepest if path.startswith(bundle.prefix)), None)

    def relative(self, path: str) -> str:
        bundle = self.of(path)
        return path if bundle is None else path.removeprefix(bundle.prefix)

    def order(self, path: str) -> tuple[int, str]:
        """Of two files that have a DAG id, the smaller one has it: that of the bundle that is configured first."""
        bundle = self.of(path)
        return (len(self._bundles) if bundle is None else self._bundles.index(bundle)), path


def folder(path: str) -> Bundles:
    """The one folder that a server was told to serve."""
    return Bundles([Bundle(DAGS_FOLDER, path)])
