"""A real Prometheus for the tests of its source."""

from tests.prometheus_server import start_prometheus

__all__ = ["start_prometheus"]
