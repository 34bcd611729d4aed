"""A section of examples/README.md, run word for word.

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

ROOT = Path(__file__).parents[3]
README = ROOT / "examples" / "README.md"
_BLOCK = re.compile(r"^```(\w+)\n(.*?)^```$", re.DOTALL | re.MULTILINE)


@dataclass(frozen=True)
class Command:
    """A ```sh block of the section, and what the README says that it prints (None: it says nothing)."""

    text: str
    prints: str | None


def commands(example: str) -> list[Command]:
    """Of the section whose heading begins with the example's name in backticks."""
    section = re.search(rf"^## `{example}`.*?(?=^## |\Z)", README.read_text(), re.DOTALL | re.MULTILINE)
    assert section is not None, f"examples/README.md has no section on {example}"
    blocks = _BLOCK.findall(section[0])
    following = [*blocks[1:], ("sh", "")]
    found = [
        Command(text, None if after == "sh" else prints)
        for (language, text), (after, prints) in zip(blocks, following, strict=True)
        if language == "sh"
    ]
    assert found, f"the section on {example} has no command"
    return found


def run(command: Command, server: Server) -> str:
    """What it printed, after checking that against the README; the command must end with 0."""
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
            raise AssertionError(f"{command.text}\nprinted\n{done.stdout}\nbut the README says\n{command.prints}")
    return done.stdout
