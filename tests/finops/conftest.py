"""The fixtures of the tests of the bill."""

from tests.prometheus_server import start_prometheus

__all__ = ["start_prometheus"]
