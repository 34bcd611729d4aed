"""The socket that a server listens on: its own, or the one that systemd hands over."""

import os
import socket

from dagcall.errors import ConfigError

BACKLOG = 2048
_FIRST_HANDED_OVER = 3
"""`SD_LISTEN_FDS_START`, see sd_listen_fds(3)."""


def listen(host: str, port: int, *, share_port: bool = False) -> socket.socket:
    """What systemd has handed over, else a socket of our own. `share_port`: other servers may listen on it too, and the
    kernel gives each new connection to one of them: to this one not before it listens, which is left to its server.

    Raises:
        ConfigError: the address cannot be listened on; or what was handed over is not one TCP socket on loopback.
    """
    handed_over = _handed_over()
    if handed_over is not None:
        return handed_over
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    listener = socket.socket(family, socket.SOCK_STREAM)
    listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    if share_port:
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)
    try:
        listener.bind((host, port))
        if not share_port:
            listener.listen(BACKLOG)
    except OSError as error:
        listener.close()
        raise ConfigError(f"cannot listen on {host}:{port}: {error.strerror}") from error
    return listener


def _handed_over() -> socket.socket | None:
    if os.environ.get("LISTEN_PID") != str(os.getpid()):
        return None
    if os.environ.get("LISTEN_FDS") != "1":
        raise ConfigError(f"systemd handed over {os.environ.get('LISTEN_FDS')} sockets; dagcall listens on one")
    listener = socket.socket(fileno=_FIRST_HANDED_OVER)
    listener.set_inheritable(False)
    if listener.family not in (socket.AF_INET, socket.AF_INET6) or listener.type != socket.SOCK_STREAM:
        raise ConfigError("the socket that systemd handed over is not a TCP socket")
    return listener
