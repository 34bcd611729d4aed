"""A section of examples/README.md, or another page, run word for word.

Every ```sh block runs as it is, in the checkout, but that port 8274 is the test server's. A block of another language
right after it, if there is one, is what it prints; `...` there stands for whatever differs from run to run.
"""

import doctest
import os
import re
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

from ..serving import Server

RUNNABLE = ("sh", "python")
ROOT = Path(__file__).parents[3]
README = ROOT / "examples" / "README.md"
_BLOCK = re.compile(r"^```(\w+)\n(.*?)^```$", re.DOTALL | re.MULTILINE)


@dataclass(frozen=True)
class Command:
    """A ```sh block of the section, and what its page says that it prints (None: nothing)."""

    text: str
    prints: str | None


def commands(example: str) -> list[Command]:
    """Of the section whose heading begins with the example's name in backticks."""
    section = re.search(rf"^## `{example}`.*?(?=^## |\Z)", README.read_text(), re.DOTALL | re.MULTILINE)
    assert section is not None, f"examples/README.md has no section on {example}"
    found = commands_of(section[0])
    assert found, f"the section on {example} has no command"
    return found


def commands_of(text: str) -> list[Command]:
    """Of a page, or a part of one. A ```python block is a command too: a program for `python`."""
    blocks = _BLOCK.findall(text)
    following = [*blocks[1:], ("sh", "")]
    return [
        Command(
            body if language == "sh" else f"python - <<'END'\n{body}END\n",
            None if after in RUNNABLE else prints,
        )
        for (language, body), (after, prints) in zip(blocks, following, strict=True)
        if language in RUNNABLE
    ]


def run(command: Command, server: Server) -> str:
    """What it printed, after checking that against its page; the command must end with 0."""
    done = subprocess.run(
        ["sh", "-e", "-c", command.text.replace(":8274", f":{server.port}")],
        cwd=ROOT,
        env=os.environ
        | {
            "DAGCALL_URL": server.url,
            "PATH": f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}",
            "PYTHONPATH": str(ROOT / "src"),
        },
        capture_output=True,
        text=True,
        timeout=100,
    )
    assert done.returncode == 0, f"{command.text}\n{done.stdout}\n{done.stderr}"
    if command.prints is not None:
        options = doctest.ELLIPSIS | doctest.NORMALIZE_WHITESPACE
        if not doctest.OutputChecker().check_output(command.prints, done.stdout, options):
            raise AssertionError(f"{command.text}\nprinted\n{done.stdout}\nbut its page says\n{command.prints}")
    return done.stdout
