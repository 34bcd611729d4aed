"""What a run survives: the words that a server, a DAG and a call choose among."""

from typing import Final, Literal, get_args

Durability = Literal["none", "process", "power"]
"""`none`: gone with the server. `process`: survives the death of any process. `power`: survives a power cut too."""

OnRestart = Literal["resume", "fail"]
"""What becomes of a run that the server finds unfinished when it starts: it goes on, or it ends as failed."""

DURABILITIES: Final[tuple[Durability, ...]] = get_args(Durability)
ON_RESTART: Final[tuple[OnRestart, ...]] = get_args(OnRestart)
