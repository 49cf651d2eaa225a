"""What gpuwise advises on the power limit of a job in Prometheus is what the backtest of Zeus' measurements judges.

The job's speed and power follow Zeus' curve. Its limit is set as advised, and the next pass reads what came of it.
"""

from collections.abc import Sequence
from dataclasses import replace

import numpy as np
import pytest
from tests.fleet import PRICES
from tests.prometheus_server import NEEDS_PROMETHEUS, StartPrometheus, openmetrics
from tests.scored import profile
from tests.sources.workloads import inventory, pod, workload

from gpuwise.backtest.power_limit_overprovisioned import POWER_CAP
from gpuwise.model.changes import CapPower
from gpuwise.model.gpu import named
from gpuwise.model.inventory import CapacityType, Node, WorkloadClass
from gpuwise.model.labels import WORK_METRIC
from gpuwise.model.pace import Pace
from gpuwise.model.reasons import Reason
from gpuwise.model.recommendation import Blocked, Recommendation
from gpuwise.model.usage import DAY_S, Window
from gpuwise.recommend.case import Case
from gpuwise.recommend.engines.power_limit_overprovisioned.advice import Step, advised_cap, limits_of
from gpuwise.recommend.engines.power_limit_overprovisioned.search import MAX_SLOWDOWN, CapTrial, PowerCapSettings
from gpuwise.recommend.fleet import Fleet
from gpuwise.recommend.methods.power_limit_overprovisioned import cap_power
from gpuwise.recommend.settings import RecommendSettings
from gpuwise.score.settings import ScoreSettings
from gpuwise.sources.prometheus.settings import PrometheusSettings
from gpuwise.sources.prometheus.usage import PrometheusUsage

pytestmark = NEEDS_PROMETHEUS

START_S = 1_780_272_000
EVERY_S, UNDER_S, PER_S = 30, 6 * 3_600, 0.5
"""Scrapes, the time under each limit, and steps of the trainer per second under the highest limit."""
STEPS = "trainer_steps_total"
POD = {"namespace": "research", "pod": "trainer-0"}
GPU = POD | {"device_uuid": "GPU-a", "model": "Tesla V100-SXM2-32GB", "gpu": "0", "node": "node-a"}
CARD = {name: GPU[name] for name in ("device_uuid", "model", "gpu", "node")}


def series_of(curve: dict[float, CapTrial], limits: Sequence[float]) -> str:
    """What Prometheus has of a job that worked under these limits in turn, as gpuwise's exporter and the job say it."""
    at_s = np.arange(0, UNDER_S * len(limits), EVERY_S)
    under = [curve[limit_w] for limit_w in np.repeat(limits, UNDER_S // EVERY_S)]
    highest = curve[max(curve)]
    steps = np.floor(np.cumsum([PER_S * EVERY_S * highest.time_s / one.time_s for one in under]))
    # Bursts: the highest sample of a step is not its mean.
    watts = np.array([one.energy_j / one.time_s for one in under]) + np.where(at_s // EVERY_S % 2, 20.0, -20.0)

    def one(name: str, labels: dict[str, str], values, kind: str = "gauge") -> str:
        return openmetrics(
            name, labels, dict(zip((START_S + at_s).tolist(), np.asarray(values).tolist(), strict=True)), kind=kind
        )

    return (
        one(STEPS, POD, steps, kind="counter")
        + one("gpuwise_gpu_power_watts", GPU, watts)
        + one("gpuwise_gpu_energy_joules_total", GPU, np.cumsum(watts * EVERY_S), kind="counter")
        + one("gpuwise_gpu_sm_activity_ratio", GPU, 0.8 + 0.01 * (at_s % 7))
        + one("gpuwise_gpu_utilization_ratio", GPU, np.full(at_s.size, 0.97))
        + one("gpuwise_gpu_power_limit_watts", CARD, [one.limit_w for one in under])
    )


def advice(url: str, hours: int) -> Recommendation | Blocked:
    """What a scan says about the job at the end of these hours."""
    end_s = START_S + hours * 3_600
    subject = replace(
        workload(pod("trainer-0", started_s=START_S)),
        workload_class=WorkloadClass.TRAINING,
        annotations={WORK_METRIC: STEPS},
    )
    node = Node("node-a", named("V100-32GB"), "Tesla-V100-SXM2-32GB", 1, {}, CapacityType.ON_DEMAND, "eu-west-1")
    fleet = replace(inventory(subject), nodes={"node-a": node}, taken_s=end_s)
    window = Window(end_s - 14 * DAY_S, end_s, 300)
    (usage,) = PrometheusUsage(PrometheusSettings(url)).read([subject], fleet, window)
    scored = profile(usage, ScoreSettings())
    settings = RecommendSettings(usd_per_kwh=0.2)
    return cap_power(Case(subject, scored, Fleet(fleet, {subject.ref: scored}, PRICES, settings, end_s)))


def wanted(curve: dict[float, CapTrial], limits: Sequence[float]):
    """What the engine says to speeds and energies without any error."""
    seconds = float(UNDER_S)
    paces = [
        Pace("any", 1.0, 1, at, i * UNDER_S, (i + 1) * UNDER_S, seconds,
             seconds * PER_S * curve[max(curve)].time_s / curve[at].time_s,
             curve[at].energy_j / curve[at].time_s * seconds)
        for i, at in enumerate(limits)
    ]  # fmt: skip
    return advised_cap(paces, gpu_type="any", limits_w=limits_of(300.0), draw_w=np.nan, settings=PowerCapSettings())


@pytest.mark.parametrize(
    "name",
    [
        "a40 imagenet/resnet50/adadelta 360",
        "a40 squad/bert_base_uncased/adamw 32",
        "a40 librispeech/deepspeech2/adamw 128",
    ],
)
def test_following_the_advice_ends_at_the_limit_of_the_engine(traces, start_prometheus: StartPrometheus, name: str):
    """The A40's maximum is 300 W, as that of the board on which the job runs here."""
    given = {"power": traces / "zeus_power" / "zeus_power.csv.gz", "tries": 3, "step_w": 5.0, "board": "a40"}
    curve = {trial.limit_w: trial for trial in POWER_CAP.load(given).workloads[name]}
    limits, reasons = [max(curve)], []
    for _ in range(8):
        url = start_prometheus(series=series_of(curve, limits))
        found, expected = advice(url, len(limits) * UNDER_S // 3_600), wanted(curve, limits)
        if isinstance(found, Blocked):
            assert found.reason is Reason.LIMIT_IS_BEST
            assert (expected.step, expected.limit_w) == (Step.KEEP, limits[-1])
            break
        assert isinstance(found.change, CapPower)
        assert found.change.limit_w == expected.limit_w
        slow = curve[limits[-1]].time_s > (1 + MAX_SLOWDOWN) * curve[max(curve)].time_s
        assert (found.reasons == (Reason.SLOWER_UNDER_LIMIT,)) == slow
        limits.append(found.change.limit_w)
        reasons.append(found.reasons)
    else:
        pytest.fail(f"the search does not end: {limits}")
    assert curve[limits[-1]].time_s <= 1.06 * curve[max(curve)].time_s
    assert curve[limits[-1]].energy_j < curve[max(curve)].energy_j


def test_a_new_limit_is_waited_for_and_a_job_that_ran_for_an_hour_is_not_judged(
    traces, start_prometheus: StartPrometheus
):
    given = {"power": traces / "zeus_power" / "zeus_power.csv.gz", "tries": 3, "step_w": 5.0, "board": "v100"}
    curve = {trial.limit_w: trial for trial in POWER_CAP.load(given).workloads["v100 imagenet/resnet50/adadelta 64"]}
    url = start_prometheus(series=series_of(curve, [250.0, 200.0]))
    for hours in (1, 7):
        found = advice(url, hours)
        assert isinstance(found, Blocked)
        assert found.reason is Reason.INSUFFICIENT_DATA
        assert f"{'250' if hours == 1 else '200'} W is in force" in found.detail
