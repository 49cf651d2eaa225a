"""A real Prometheus for the tests of what reads it."""

from tests.prometheus_server import start_prometheus

__all__ = ["start_prometheus"]
