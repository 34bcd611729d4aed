"""What a deployment may choose about the HTTP server."""

from dataclasses import dataclass


@dataclass(frozen=True)
class ServerSettings:
    """Durations are seconds, sizes bytes.

    `host`: the address that is listened on; as a name in `Host` it is accepted too, as are `allowed_hosts`.
    `default_wait`: how long a call waits when its caller does not say.
    `body_limit`: larger request bodies are refused (413).
    """

    host: str = "127.0.0.1"
    port: int = 8274
    default_wait: float = 30.0
    body_limit: int = 16 * 1024 * 1024
    allowed_hosts: tuple[str, ...] = ()
    any_address: bool = False
    """An IP address in `Host` is accepted, whichever: what names rebind to other addresses is no danger to who asks for
    credentials."""
    login: bool = False
    """There is a page to log in, with a form."""
