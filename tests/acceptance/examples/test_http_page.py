"""docs/http.md: its commands print what it says."""

import pytest

from ..serving import Server
from .sections import ROOT, Command, commands_of, run


@pytest.mark.parametrize(
    "command",
    commands_of((ROOT / "docs" / "http.md").read_text()),
    ids=lambda command: command.text.splitlines()[0][:60],
)
def test_what_it_says_is_what_happens(examples: Server, command: Command) -> None:
    run(command, examples)
