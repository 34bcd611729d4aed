"""What is exported, where to: Airflow's configuration first, which is mostly OpenTelemetry's own environment.

As in Airflow (`_shared/observability/traces`, `common.py`): `[traces] otel_on` and `[metrics] otel_on` switch it on,
`OTEL_EXPORTER_OTLP_*`, `OTEL_TRACES_EXPORTER`, `OTEL_SERVICE_NAME` and the rest of OpenTelemetry's variables say the rest,
and `otel_host`, `otel_port`, `otel_ssl_active`, `otel_service` of both sections, which Airflow has deprecated, are taken
where no variable says where to. Unlike Airflow's traces, `OTEL_EXPORTER_OTLP_PROTOCOL` counts for both signals.
"""

import os
from collections.abc import Mapping
from dataclasses import dataclass
from importlib.metadata import entry_points
from typing import Any, Literal

from opentelemetry.sdk.resources import Resource

from dagcall.errors import ConfigError
from dagcall.version import __version__

Signal = Literal["traces", "metrics"]


@dataclass(frozen=True)
class Section:
    """Airflow's `[traces]` or `[metrics]`, as far as it says something about OpenTelemetry."""

    on: bool = False
    host: str | None = None
    port: int | None = None
    ssl: bool = False
    service: str | None = None
    interval: float | None = None
    """Milliseconds."""

    @classmethod
    def of(cls, settings: Mapping[str, Any], signal: Signal) -> "Section":
        return cls(**settings.get(f"otel_{signal}", {}))


def exporter_for(signal: Signal, section: Section) -> Any:
    """OpenTelemetry's exporter. Raises ConfigError."""
    name, arguments = _chosen(signal, section)
    if name == "none":
        return None
    found = next(iter(entry_points(group=f"opentelemetry_{signal}_exporter", name=name)), None)
    if found is None:
        known = ", ".join(sorted(one.name for one in entry_points(group=f"opentelemetry_{signal}_exporter")))
        raise ConfigError(f"OTEL_{signal.upper()}_EXPORTER: no exporter {name!r} is installed; there are: {known}")
    try:
        return found.load()(**arguments)
    except Exception as error:
        raise ConfigError(
            f"the exporter {name!r} for {signal} cannot be made: {type(error).__name__}: {error}"
        ) from error


def _chosen(signal: Signal, section: Section) -> tuple[str, dict[str, Any]]:
    environment, upper = os.environ, signal.upper()
    named = environment.get(f"OTEL_{upper}_EXPORTER")
    if named and named != "otlp":
        return named, {}
    protocol = environment.get(f"OTEL_EXPORTER_OTLP_{upper}_PROTOCOL") or environment.get("OTEL_EXPORTER_OTLP_PROTOCOL")
    told = environment.get(f"OTEL_EXPORTER_OTLP_{upper}_ENDPOINT") or environment.get("OTEL_EXPORTER_OTLP_ENDPOINT")
    if told or not (section.host and section.port):
        return "otlp_proto_http" if protocol and protocol.startswith("http") else "otlp_proto_grpc", {}
    host = f"[{section.host}]" if ":" in section.host and not section.host.startswith("[") else section.host
    return "otlp_proto_http", {"endpoint": f"http{'s' * section.ssl}://{host}:{section.port}/v1/{signal}"}


def resource_of(section: Section) -> Resource:
    attributes: dict[str, str | int] = {"service.version": __version__, "process.pid": os.getpid()}
    if not os.environ.get("OTEL_SERVICE_NAME") and "service.name" not in os.environ.get("OTEL_RESOURCE_ATTRIBUTES", ""):
        attributes["service.name"] = section.service or "dagcall"
    return Resource.create(attributes)
