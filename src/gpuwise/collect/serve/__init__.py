"""The last snapshot over HTTP: Prometheus' text, TLS and basic authentication, dcgm-exporter's names."""
