"""Why a call would not be taken now, in words. Pure."""


def obstacles(*, stopping: bool, loaded: bool, full: bool, trouble: str | None) -> list[str]:
    """`trouble`: of the journal."""
    found = []
    if stopping:
        found.append("the server is stopping")
    elif not loaded:
        found.append("the DAG files are being loaded")
    if trouble is not None:
        found.append(f"the journal cannot be written: {trouble}")
    if full:
        found.append("the server has as many runs as it takes ([dagcall] max_runs)")
    return found
