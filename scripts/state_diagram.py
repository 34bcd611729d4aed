"""Draw docs/state-machine.md from the machine's own tables.

python scripts/state_diagram.py            write it
python scripts/state_diagram.py --check    exit 1 when it is not current
"""

import sys
from pathlib import Path

ROOT = Path(__file__).parents[1]
sys.path.insert(0, str(ROOT / "src"))

from dagcall.core.transitions import TRANSITIONS  # noqa: E402

PAGE = ROOT / "docs" / "state-machine.md"

TEMPLATE = """\
# The states of a run

Drawn from `src/dagcall/core/transitions.py` by `scripts/state_diagram.py`; do not edit.

## A task instance

```mermaid
stateDiagram-v2
    [*] --> none
{arrows}
```

| from | to | when |
|---|---|---|
{rows}

Never left: {final}. `removed` is never entered: it marks instances whose DAG changed under the run, and a run keeps
the version it began with.

## The run and its outcome

A run is `queued` until its first task begins, then `running`, then `success` or `failed`: decided when no instance is
unfinished, teardowns included, by the leaves of the DAG; teardowns count only with `on_failure_fail_dagrun`. It also
fails when nothing can run any more (deadlock), at its `dagrun_timeout`, and when it was cancelled or its deadline
passed, then after the teardowns.

The *outcome* is what the caller is told, once, as soon as it is certain: `success` when the result tasks have ended
well, `failed` when one of them can only end failed or upstream_failed, `cancelled` or `deadline` when that came first.
The run goes on to its end after it.
"""


def page() -> str:
    changes = [(old.value, new.value, why) for old, news in TRANSITIONS.items() for new, why in news.items()]
    final = [f"`{state.value}`" for state, news in TRANSITIONS.items() if not news]
    return TEMPLATE.format(
        arrows="\n".join(f"    {old} --> {new}: {why}" for old, new, why in changes),
        rows="\n".join(f"| {old} | {new} | {why} |" for old, new, why in changes),
        final=", ".join(final),
    )


def main(arguments: list[str]) -> int:
    if arguments == ["--check"]:
        current = PAGE.exists() and PAGE.read_text() == page()
        if not current:
            print(f"{PAGE} is not current: run scripts/state_diagram.py", file=sys.stderr)
        return 0 if current else 1
    PAGE.parent.mkdir(exist_ok=True)
    PAGE.write_text(page())
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
