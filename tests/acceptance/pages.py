"""A page of the documentation, followed step by step as its reader would: in one shell.

Fenced blocks count, in their order: `sh` is run; `text` is what the last `sh` must have said (`...` is anything); `ini` is
added to airflow.cfg; `python` is a DAG file. `pip install` is not run: its extras must exist.
"""

import re
import subprocess
import threading
import tomllib
from collections.abc import Mapping
from pathlib import Path

ROOT = Path(__file__).parents[2]
LIMIT = 110.0
"""Seconds for a page."""
_BLOCK = re.compile(r"^```(\w+)\n(.*?)^```", re.DOTALL | re.MULTILINE)
_DONE = "end-of-step"


class Page:
    def __init__(self, name: str, replaced: Mapping[str, str]) -> None:
        """`replaced`: what is otherwise here than on the reader's machine."""
        text = (ROOT / "docs" / name).read_text()
        for known, here in replaced.items():
            assert known in text, f"{name} does not have {known!r} any more"
            text = text.replace(known, here)
        self.blocks = _BLOCK.findall(text)

    def follow(self, folder: Path, dag_file: Path, config: Path, environment: Mapping[str, str]) -> None:
        with (folder / "stderr.txt").open("wb") as messages_to:
            shell = subprocess.Popen(
                ["bash"],
                cwd=folder,
                env=dict(environment),
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=messages_to,
                text=True,
            )
        watch = threading.Timer(LIMIT, shell.kill)
        watch.start()
        said = ""
        try:
            for kind, block in self.blocks:
                if kind == "sh" and block.startswith("pip install"):
                    _check_extras(block)
                elif kind == "sh":
                    said = _say(shell, block)
                elif kind == "text":
                    messages = (folder / "stderr.txt").read_text()
                    assert _expected(block).fullmatch(said.strip()), f"{block}\n-- was --\n{said}\n{messages}"
                elif kind == "ini":
                    config.parent.mkdir(parents=True, exist_ok=True)
                    with config.open("a") as file:
                        file.write(block)
                else:
                    assert kind == "python", kind
                    dag_file.parent.mkdir(parents=True, exist_ok=True)
                    dag_file.write_text(block)
        finally:
            watch.cancel()
            _say(shell, "kill $(jobs -p) 2> /dev/null; wait")
            shell.communicate(timeout=60)


def _say(shell: "subprocess.Popen[str]", block: str) -> str:
    """What the shell prints while it does this. Background jobs inherit neither its input nor a place in this."""
    assert shell.stdin is not None
    assert shell.stdout is not None
    if shell.poll() is not None:
        return ""
    shell.stdin.write(block.replace(" &\n", " < /dev/null > /dev/null &\n") + f"\necho {_DONE}\n")
    shell.stdin.flush()
    said = []
    for line in shell.stdout:
        if line.endswith(f"{_DONE}\n"):
            said.append(line.removesuffix(f"{_DONE}\n"))
            return "".join(said)
        said.append(line)
    raise AssertionError(f"the shell ended, or took longer than {LIMIT:g} s, in:\n{block}\nand said {said}")


def _expected(text: str) -> re.Pattern[str]:
    return re.compile(".*".join(map(re.escape, text.strip().split("..."))), re.DOTALL)


def _check_extras(block: str) -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    for extras in re.findall(r"dagcall\[([\w,]+)\]", block):
        assert set(extras.split(",")) <= project["optional-dependencies"].keys()
