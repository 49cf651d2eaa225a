"""What gpuwise emits for an endpoint in Prometheus is what the backtest of its requests judges."""

from dataclasses import replace

import numpy as np
import pytest
from tests.fleet import PRICES
from tests.prometheus_server import NEEDS_PROMETHEUS, StartPrometheus, openmetrics
from tests.scored import profile
from tests.sources.workloads import inventory, pod, workload

from gpuwise.backtest.idle_between_uses.trace import load
from gpuwise.backtest.idle_between_uses.weekly import sampled
from gpuwise.model.changes import StopWhenIdle
from gpuwise.model.gpu import named
from gpuwise.model.inventory import CapacityType, Node
from gpuwise.model.recommendation import Recommendation
from gpuwise.model.usage import DAY_S, SCRAPE_S, Window
from gpuwise.recommend.case import Case
from gpuwise.recommend.engines.idle_between_uses.weekly import WEEK_S, replayed, weekly_wait
from gpuwise.recommend.fleet import Fleet
from gpuwise.recommend.methods.idle_between_uses import stop_when_idle
from gpuwise.recommend.settings import RecommendSettings
from gpuwise.score.settings import ScoreSettings
from gpuwise.sources.prometheus.settings import PrometheusSettings
from gpuwise.sources.prometheus.usage import PrometheusUsage

pytestmark = NEEDS_PROMETHEUS

MONDAY_S = 4 * DAY_S + 2940 * WEEK_S
DAYS = 16
POD = {"namespace": "research", "pod": "trainer-0"}


@pytest.mark.parametrize("name", ["M0012", "M0027", "M0033"])
def test_the_wait_is_that_of_the_backtest(traces, start_prometheus: StartPrometheus, name: str):
    """An endpoint of GenTD26 as vLLM's metrics, scraped every 30 s; the first two weeks decide on the third."""
    given = {"requests": traces / "genai_gentd26" / "lora_request_trace.csv.gz", "cold_start_cost_s": 600.0}
    one = load(given).fleet[name]
    scraped_s = np.arange(1, DAYS * DAY_S // SCRAPE_S + 1) * SCRAPE_S  # a scrape at the end of each step
    scraped_s = scraped_s[scraped_s >= one.starts_s[0]]
    answered = np.searchsorted(np.sort(one.ends_s), scraped_s, side="right")
    in_flight = np.searchsorted(one.starts_s, scraped_s, side="right") - answered
    at_s = (MONDAY_S + scraped_s - 1).tolist()
    series = openmetrics(
        "vllm:request_success_total", POD, dict(zip(at_s, answered.tolist(), strict=True)), kind="counter"
    )
    series += openmetrics("vllm:num_requests_running", POD, dict(zip(at_s, in_flight.tolist(), strict=True)))
    gpu = POD | {"device_uuid": "GPU-a", "model": "NVIDIA A100-SXM4-80GB", "gpu": "0", "node": "node-a"}
    idle = dict.fromkeys(range(MONDAY_S, MONDAY_S + DAYS * DAY_S, 300), 0.0)
    series += openmetrics("gpuwise_gpu_sm_activity_ratio", gpu, idle) + openmetrics(
        "gpuwise_gpu_utilization_ratio", gpu, idle
    )
    found = emitted(start_prometheus(series=series))
    assert isinstance(found, Recommendation)
    assert isinstance(found.change, StopWhenIdle)
    past = sampled(one, step_s=SCRAPE_S, start_s=0.0).between(0, 2 * WEEK_S)
    assert found.change.after_s == weekly_wait(past, 600.0)
    causal = replayed(past, 600.0)
    stated = next(item.value for item in found.evidence if "each past week" in item.text)
    assert causal is not None
    assert stated == pytest.approx(causal.ratio, rel=1e-3)


def emitted(url: str):
    subject = workload(pod("trainer-0", started_s=MONDAY_S))
    node = Node("node-a", named("A100-80GB"), "NVIDIA-A100-SXM4-80GB", 8, {}, CapacityType.ON_DEMAND, "eu-west-1")
    fleet = replace(inventory(subject), nodes={"node-a": node}, taken_s=MONDAY_S + DAYS * DAY_S)
    # The look-back begins four weeks ago; the endpoint is 16 days old.
    end_s = MONDAY_S + DAYS * DAY_S
    window = Window(end_s - 28 * DAY_S, end_s, 300)
    (usage,) = PrometheusUsage(PrometheusSettings(url)).read([subject], fleet, window)
    scored = profile(usage, ScoreSettings())
    return stop_when_idle(
        Case(subject, scored, Fleet(fleet, {subject.ref: scored}, PRICES, RecommendSettings(), end_s))
    )
