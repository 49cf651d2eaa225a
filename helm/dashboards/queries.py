"""Selectors of metrics: each one matches the dashboard's variables, as grafana/dashboard-linter requires."""

SCOPE = 'cluster=~"$cluster",job=~"$job",instance=~"$instance"'
"""Matchers of every selector."""
_CARD = 'node=~"$node",gpu=~"$gpu"'
_PODS = 'namespace=~"$namespace",pod=~"$pod"'


def every(metric: str, *matchers: str) -> str:
    """Return the selector of a metric.

    Args:
        metric: name of the metric; empty if a matcher gives it.
        matchers: further matchers, such as `class="idle"`.
    """
    return f"{metric}{{{','.join((SCOPE, *matchers))}}}"


def card(metric: str, *matchers: str) -> str:
    """Return the selector of a metric of cards, for the variables `node` and `gpu`."""
    return every(metric, _CARD, *matchers)


def pods(metric: str, *matchers: str) -> str:
    """Return the selector of a metric of devices or containers, for the variables `namespace` and `pod`."""
    return every(metric, _PODS, *matchers)


def rate(selector: str) -> str:
    """Return the rate of a counter per second."""
    return f"rate({selector}[$__rate_interval])"
