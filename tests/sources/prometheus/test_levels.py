"""Service levels are one finite number each, or nothing."""

import httpx
import pytest

from gpuwise.model.command import ServiceLevel
from gpuwise.model.errors import SourceError
from gpuwise.sources.prometheus import levels
from gpuwise.sources.prometheus.client import PrometheusClient
from gpuwise.sources.prometheus.settings import PrometheusSettings

LEVEL = ServiceLevel("latency", "histogram_quantile(0.99, x)", at_most=1.0)


def measured(monkeypatch, result, status=200):
    """The value if the server answers with these samples."""

    def answer(request):
        assert "histogram_quantile" in request.read().decode()
        body = {"status": "success", "data": {"resultType": "vector", "result": result}}
        return httpx.Response(status, json=body)

    client = lambda settings: PrometheusClient(settings, transport=httpx.MockTransport(answer), wait=lambda _: None)  # noqa: E731
    monkeypatch.setattr(levels, "PrometheusClient", client)
    return levels.PrometheusLevels(PrometheusSettings("http://prometheus")).value(LEVEL)


def test_one_sample_is_the_value(monkeypatch):
    assert measured(monkeypatch, [{"metric": {}, "value": [1, "0.25"]}]) == 0.25


@pytest.mark.parametrize(
    "result",
    [
        [],
        [{"metric": {}, "value": [1, "NaN"]}],
        [{"metric": {}, "value": [1, "+Inf"]}],
        [{"metric": {"a": "1"}, "value": [1, "1"]}, {"metric": {"a": "2"}, "value": [1, "2"]}],
    ],
)
def test_i13_anything_else_is_no_value(monkeypatch, result):
    """keda#3065: an empty result counted as 0."""
    assert measured(monkeypatch, result) is None


def test_i13_a_server_that_fails_is_an_error(monkeypatch):
    with pytest.raises(SourceError):
        measured(monkeypatch, [], status=500)
