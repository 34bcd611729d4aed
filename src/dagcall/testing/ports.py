"""A port of 127.0.0.1 that nobody listens on: for servers that must be told theirs."""

import socket


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])
