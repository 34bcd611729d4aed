"""Who is let in to a server: the options, and the policy that they ask for."""

import ipaddress
import socket
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import urlsplit

from dagcall.coordinator.api import CoordinatorView
from dagcall.errors import ConfigError
from dagcall.options import Launch
from dagcall.server.airflow_policy import AirflowPolicy
from dagcall.server.policy import AllowAll, Policy
from dagcall.server.token_policy import TokenPolicy
from dagcall.tokens import TokenFile

_LOOPBACK = frozenset({"127.0.0.1", "::1", "localhost"})


@dataclass(frozen=True)
class Access:
    auth: str = "none"
    cache_seconds: float = 5.0
    tokens: Path | None = None
    audit: str = "changes"
    allowed_hosts: tuple[str, ...] = ()

    @classmethod
    def of(cls, launch: Launch, home: Path) -> "Access":
        named = [launch.allowed_hosts or "", urlsplit(launch.url or "").hostname or ""]
        hosts = [host.strip() for names in named for host in names.split(",") if host.strip()]
        tokens = Path(launch.tokens) if launch.tokens else home / "dagcall" / "tokens.json"
        return cls(launch.auth, launch.auth_cache, tokens, launch.audit, tuple(hosts))

    def check_address(self, host: str) -> None:
        """Raises ConfigError for an address that others can reach while nobody is asked who they are. A name is
        looked at again once it is an address."""
        if self.auth != "none" or host in _LOOPBACK:
            return
        try:
            if ipaddress.ip_address(host).is_loopback:
                return
        except ValueError:
            pass
        raise ConfigError(f"--host {host}: only loopback addresses are served while [dagcall] auth is none")

    def announcement(self) -> str:
        match self.auth:
            case "none":
                return "[dagcall] auth is none: whoever reaches this address, every user of this machine, may call every DAG"
            case "airflow":
                return "[dagcall] auth is airflow: Airflow's auth manager decides; tokens at POST /auth/token"
        return f"[dagcall] auth is token: those of `dagcall token create`, in {self.tokens}"

    def hosts(self) -> tuple[str, ...]:
        """Names that the server may be addressed by besides its own."""
        if self.auth == "none":
            return self.allowed_hosts
        return (*self.allowed_hosts, socket.gethostname(), socket.getfqdn())

    def policy(self, coordinator: CoordinatorView) -> Policy:
        if self.auth == "airflow":
            return AirflowPolicy(coordinator.airflow, self.cache_seconds)
        if self.auth == "token":
            assert self.tokens is not None
            return TokenPolicy(TokenFile(self.tokens))
        return AllowAll()
