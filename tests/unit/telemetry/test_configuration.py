"""Which exporter is taken, by Airflow's configuration and OpenTelemetry's environment."""

from typing import Any

import pytest

from dagcall.errors import ConfigError
from dagcall.telemetry.configuration import Section, _chosen, exporter_for, resource_of
from dagcall.telemetry.opening import opened

ON = Section(on=True, host="localhost", port=8889)


@pytest.mark.parametrize(
    ("environment", "section", "chosen"),
    [
        ({}, ON, ("otlp_proto_http", {"endpoint": "http://localhost:8889/v1/traces"})),
        ({}, Section(True, "::1", 1, ssl=True), ("otlp_proto_http", {"endpoint": "https://[::1]:1/v1/traces"})),
        ({}, Section(True), ("otlp_proto_grpc", {})),
        ({"OTEL_EXPORTER_OTLP_ENDPOINT": "http://c:4317"}, ON, ("otlp_proto_grpc", {})),
        (
            {"OTEL_EXPORTER_OTLP_ENDPOINT": "http://c", "OTEL_EXPORTER_OTLP_PROTOCOL": "http/protobuf"},
            ON,
            ("otlp_proto_http", {}),
        ),
        (
            {
                "OTEL_EXPORTER_OTLP_TRACES_ENDPOINT": "http://c",
                "OTEL_EXPORTER_OTLP_PROTOCOL": "http/protobuf",
                "OTEL_EXPORTER_OTLP_TRACES_PROTOCOL": "grpc",
            },
            ON,
            ("otlp_proto_grpc", {}),
        ),
        ({"OTEL_TRACES_EXPORTER": "console"}, ON, ("console", {})),
    ],
)
def test_the_environment_goes_before_airflows_deprecated_options(
    environment: dict[str, str], section: Section, chosen: tuple[str, Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    for name, value in environment.items():
        monkeypatch.setenv(name, value)
    assert _chosen("traces", section) == chosen


def test_an_exporter_that_is_not_there_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OTEL_TRACES_EXPORTER", "zipkin")
    with pytest.raises(ConfigError, match=r"no exporter 'zipkin' is installed; there are: .*otlp_proto_http"):
        exporter_for("traces", ON)
    monkeypatch.setenv("OTEL_TRACES_EXPORTER", "none")
    assert exporter_for("traces", ON) is None


def test_the_service_is_dagcall_unless_somebody_says_otherwise(monkeypatch: pytest.MonkeyPatch) -> None:
    assert resource_of(ON).attributes["service.name"] == "dagcall"
    assert resource_of(Section(True, service="Airflow")).attributes["service.name"] == "Airflow"
    monkeypatch.setenv("OTEL_SERVICE_NAME", "hotel")
    assert resource_of(Section(True, service="Airflow")).attributes["service.name"] == "hotel"


def test_nothing_is_opened_where_nothing_is_switched_on() -> None:
    assert opened({}) == opened({"otel_traces": {}, "otel_metrics": {}}) == (None, None)
