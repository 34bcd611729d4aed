"""docs/observability.md has every metric, in the words of the code."""

from pathlib import Path

from dagcall.coordinator.metrics import FAMILIES


def test_the_page_has_every_metric(root: Path) -> None:
    rows = [
        line for line in (root / "docs/observability.md").read_text().splitlines() if line.startswith("| `dagcall_")
    ]
    assert rows == [
        f"| `{name}` | {told.kind} | {', '.join(f'`{one}`' for one in told.labels)} | {told.help} | "
        f"{f'`{told.airflow}`' if told.airflow else ''} |"
        for name, told in FAMILIES.items()
    ]
