"""Use of external model APIs from the metrics of AI gateways: LiteLLM and Envoy AI Gateway."""

import math
from collections import defaultdict
from collections.abc import Mapping
from typing import NamedTuple

from gpuwise.model.apis import ApiUse
from gpuwise.model.tagging import first_of
from gpuwise.sources.prometheus.client import PrometheusClient
from gpuwise.sources.prometheus.settings import PrometheusSettings

# https://docs.litellm.ai/docs/proxy/prometheus: a counter of dollars; prometheus-client appends _total.
_SPEND = "litellm_spend_metric_total"
# OpenTelemetry's semantic conventions for generative AI: a histogram of tokens per request. Its exporter for Prometheus
# appends the unit, as in the tests of Envoy AI Gateway 0.5; with units switched off the second name is used.
_TOKENS = ("gen_ai_client_token_usage_token_sum", "gen_ai_client_token_usage_sum")
_TEAM = ("team_alias", "team")
_PROVIDER = ("gen_ai_provider_name", "gen_ai_system_name", "gen_ai_system")
_MODEL = ("model", "gen_ai_request_model")
_TYPE = "gen_ai_token_type"
_BY = ", ".join((*_TEAM, *_PROVIDER, *_MODEL, _TYPE))
_DAY_S = 86_400


class GatewayUse:
    """Reads what gateways have counted from a Prometheus.

    Args:
        settings: server, authentication, timeouts and retries.
    """

    def __init__(self, settings: PrometheusSettings) -> None:
        self._settings = settings

    def read(self, start_s: int, end_s: int) -> list[ApiUse]:
        """The use between two instants, by gateway, team, provider and model; empty without such a gateway.

        The counters are read by `increase`, one day at a time: what the first request of a new series counts is not in
        it, because the series begins with that value.

        Args:
            start_s: epoch seconds.
            end_s: likewise; not later than now.

        Raises:
            SourceError: the server does not answer, or refuses a query.
        """
        with PrometheusClient(self._settings) as client:
            spend = _increases(client, _SPEND, start_s, end_s)
            tokens = [row for name in _TOKENS for row in _increases(client, name, start_s, end_s)]
        return [*_of_spend(spend), *_of_tokens(tokens)]

    def days(self, start_s: int, end_s: int) -> tuple[int, ...]:
        """The midnights (UTC) of the days between two instants on which the server has samples of a gateway.

        Args:
            start_s: a midnight, epoch seconds.
            end_s: epoch seconds; not later than now.

        Raises:
            SourceError: the server does not answer, or refuses a query.
        """
        found: set[int] = set()
        with PrometheusClient(self._settings) as client:
            for first_s, last_s, length_s in _spans(start_s, end_s):
                for metric in (_SPEND, *_TOKENS):
                    query = f"count(count_over_time({metric}[{length_s}s]))"
                    for series in client.range(query, start_s=first_s, end_s=last_s, step_s=_DAY_S):
                        found |= {int(at_s - length_s) for at_s in series.at_s}
        return tuple(sorted(found))


_Row = tuple[Mapping[str, str], float]


def _increases(client: PrometheusClient, metric: str, start_s: int, end_s: int) -> list[_Row]:
    """The increase of a counter by labels: of each whole day, and of the rest."""
    return [
        (series.labels, math.fsum(value for value in series.values if math.isfinite(value)))
        for first_s, last_s, length_s in _spans(start_s, end_s)
        for series in client.range(
            f"sum by ({_BY}) (increase({metric}[{length_s}s]))", start_s=first_s, end_s=last_s, step_s=_DAY_S
        )
    ]


def _spans(start_s: int, end_s: int) -> list[tuple[int, int, int]]:
    """The whole days and the rest: the ends of the first and of the last one, and their length."""
    whole_s = start_s + (end_s - start_s) // _DAY_S * _DAY_S
    spans = [(start_s + _DAY_S, whole_s, _DAY_S), (end_s, end_s, end_s - whole_s)]
    return [(first_s, last_s, length_s) for first_s, last_s, length_s in spans if length_s > 0 and first_s <= last_s]


def _of_spend(rows: list[_Row]) -> list[ApiUse]:
    usd: defaultdict[_Names, float] = defaultdict(float)
    for labels, amount in rows:
        usd[_Names.of(labels)] += amount
    return [ApiUse("LiteLLM", *names, usd=amount) for names, amount in sorted(usd.items(), key=str) if amount > 0.0]


def _of_tokens(rows: list[_Row]) -> list[ApiUse]:
    """Tokens of other types, such as cached ones, are a part of the input."""
    counts: defaultdict[_Names, defaultdict[str, float]] = defaultdict(lambda: defaultdict(float))
    for labels, amount in rows:
        counts[_Names.of(labels)][labels.get(_TYPE, "")] += amount
    return [
        ApiUse("Envoy AI Gateway", *names, None, of_type["input"], of_type["output"])
        for names, of_type in sorted(counts.items(), key=str)
        if of_type["input"] + of_type["output"] > 0.0
    ]


class _Names(NamedTuple):
    team: str | None
    provider: str | None
    model: str | None

    @classmethod
    def of(cls, labels: Mapping[str, str]) -> "_Names":
        return cls(*(first_of(of, [labels]) for of in (_TEAM, _PROVIDER, _MODEL)))
