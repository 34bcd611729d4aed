"""What a server tells of itself to an OpenTelemetry collector. Imported only where that is switched on."""
