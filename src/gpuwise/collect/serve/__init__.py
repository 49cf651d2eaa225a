"""The last snapshot over HTTP: Prometheus text format, TLS and basic authentication, dcgm-exporter's names."""
