"""Declared work and limits in force from a real Prometheus: only of the workloads that declare a counter."""

from dataclasses import replace

import httpx
import numpy as np
import pytest
from tests.prometheus_server import NEEDS_PROMETHEUS, openmetrics
from tests.sources.workloads import inventory, workload

from gpuwise.model.errors import SourceError
from gpuwise.model.labels import WORK_METRIC
from gpuwise.model.recommendation import Evidence
from gpuwise.model.signal import Signal
from gpuwise.sources.prometheus import work
from gpuwise.sources.prometheus.names import LIMITS
from gpuwise.sources.prometheus.reader import PrometheusSeries
from gpuwise.sources.prometheus.settings import PrometheusSettings
from gpuwise.sources.prometheus.usage import PrometheusUsage

from .test_source import DCGM, NAN, OURS, START_S, WINDOW, exported, per_step

pytestmark = NEEDS_PROMETHEUS

STEPS = "trainer_steps_total"
POD = {"namespace": "research", "pod": "trainer-0", "instance": "10.0.0.1:8000", "job": "trainers"}
SMI = {"uuid": "a", "instance": "node-a:9835"}
BUSY = [0.9] * 10
CARD = {key: OURS[key] for key in ("device_uuid", "gpu", "model", "node")}


def declaring(*pods: str, metric: str | None = STEPS):
    return replace(workload(*(pods or ("trainer-0",))), annotations={} if metric is None else {WORK_METRIC: metric})


def counter(per_minute: list[float], *, at: float = 100.0, **labels: str) -> str:
    """A counter with this increase in each step of the window, which starts at a value one step before."""
    values = at + np.cumsum([0.0, *per_minute])
    samples = {START_S - 45 + 60 * i: float(value) for i, value in enumerate(values) if not np.isnan(value)}
    return openmetrics(STEPS, POD | labels, samples, kind="counter")


def busy(pod: str = "trainer-0", uuid: str = "GPU-a") -> str:
    return openmetrics("gpuwise_gpu_sm_activity_ratio", OURS | {"pod": pod, "device_uuid": uuid}, per_step(BUSY))


def read(url: str, *subjects):
    subjects = subjects or (declaring(),)
    return list(PrometheusUsage(PrometheusSettings(url)).read(subjects, inventory(*subjects), WINDOW))


def per_minute(usage) -> list[float]:
    return (usage.work_per_second * 60).tolist()


def test_the_increase_is_read_in_each_step(start_prometheus):
    done = [6.0, 0.0, 12.0, 6.0, 6.0, 6.0, 6.0, 6.0, 6.0, 3.0]
    (usage,) = read(start_prometheus(series=counter(done) + busy()))
    assert per_minute(usage) == pytest.approx(done)
    assert usage.work_metric == STEPS


def test_pods_and_ranks_are_summed_and_two_scrapes_of_one_address_are_not(start_prometheus):
    series = [
        counter([6.0] * 10),
        counter([6.0] * 10, job="all-pods", endpoint="metrics"),
        counter([6.0] * 10, prometheus_replica="b"),
        counter([4.0] * 10, rank="1", instance="10.0.0.1:8001"),
        counter([1.0] * 10, pod="trainer-1", instance="10.0.0.2:8000"),
        counter([50.0] * 10, pod="other-0", instance="10.0.0.3:8000"),
    ]
    url = start_prometheus(series=grouped(series) + busy() + busy("trainer-1", "GPU-b"))
    (usage,) = read(url, declaring("trainer-0", "trainer-1"))
    assert per_minute(usage) == pytest.approx([11.0] * 10)


def grouped(parts: list[str]) -> str:
    """Series of one counter below one TYPE line."""
    return parts[0] + "".join(part.partition("\n")[2] for part in parts[1:])


def test_what_was_before_the_first_sample_or_before_that_after_a_reset_is_unknown(start_prometheus):
    before = {START_S + 60 * i + 15: float(10 * i) for i in range(2, 6)}
    after = {START_S + 60 * i + 15: float(10 * (i - 5)) for i in range(6, 10)}
    series = openmetrics(STEPS, POD, before | after, kind="counter")
    (usage,) = read(start_prometheus(series=series + busy()))
    np.testing.assert_allclose(per_minute(usage), [NAN] * 3 + [10.0] * 3 + [NAN] + [10.0] * 3)


def test_a_counter_with_too_many_series_is_not_read(start_prometheus, monkeypatch):
    monkeypatch.setattr(work, "_MOST_SERIES", 2)
    two, three = (grouped([counter([6.0] * 10, path=f"/{i}") for i in range(count)]) for count in (2, 3))
    (usage,) = read(start_prometheus(series=two + busy()))
    assert per_minute(usage) == pytest.approx([12.0] * 10)
    (usage,) = read(start_prometheus(series=three + busy()))
    assert usage.work_per_second is None


def test_a_counter_without_samples_is_not_zero_work(start_prometheus):
    (usage,) = read(start_prometheus(series=busy()))
    assert (usage.work_per_second, usage.work_metric) == (None, STEPS)


def test_a_workload_that_declares_none_costs_no_query(start_prometheus, monkeypatch):
    url = start_prometheus(series=counter([6.0] * 10) + busy() + limit_rows("gpuwise_gpu_power_limit_watts", CARD, 300))
    asked = []
    real = PrometheusSeries.series

    def watched(self, selections, window):
        selections = list(selections)
        asked.extend(name for one in selections for name in one.names)
        return real(self, selections, window)

    monkeypatch.setattr(PrometheusSeries, "series", watched)
    (usage,) = read(url, declaring(metric=None))
    assert (usage.work_per_second, usage.work_metric) == (None, None)
    assert Signal.POWER_LIMIT not in usage.devices[0].samples
    assert not {STEPS, "gpuwise_gpu_power_limit_watts"} & set(asked)
    read(url)
    assert {STEPS, "gpuwise_gpu_power_limit_watts"} <= set(asked)


def limit_rows(name: str, labels: dict[str, str], watts: float) -> str:
    return openmetrics(name, labels, per_step([watts] * 10))


LABELS = {"gpuwise": CARD, "dcgm-exporter": DCGM, "nvidia_gpu_exporter": SMI}


@pytest.mark.parametrize("metric", LIMITS, ids=lambda metric: metric.name)
def test_the_limit_in_force_is_read_from_every_exporter(start_prometheus, metric):
    series = counter([6.0] * 10) + busy() + limit_rows(metric.name, LABELS[metric.family.value], 300)
    (usage,) = read(start_prometheus(series=series))
    (device,) = usage.devices
    assert device.samples[Signal.POWER_LIMIT].tolist() == [300.0] * 10


def test_the_enforced_limit_is_preferred_and_a_sentinel_is_none(start_prometheus):
    series = limit_rows("DCGM_FI_DEV_ENFORCED_POWER_LIMIT", exported(DCGM), 250) + limit_rows(
        "DCGM_FI_DEV_POWER_MGMT_LIMIT", exported(DCGM), 300
    )
    (usage,) = read(start_prometheus(series=series + counter([6.0] * 10) + busy()))
    assert usage.devices[0].samples[Signal.POWER_LIMIT].tolist() == [250.0] * 10


def test_an_impossible_limit_is_missing(start_prometheus):
    series = limit_rows("DCGM_FI_DEV_ENFORCED_POWER_LIMIT", DCGM, 2.0**63)
    (usage,) = read(start_prometheus(series=series + counter([6.0] * 10) + busy()))
    assert np.isnan(usage.devices[0].samples[Signal.POWER_LIMIT]).all()


def test_a_mig_instance_of_dcgm_exporter_has_the_limit_of_its_card(start_prometheus):
    instance = DCGM | {"GPU_I_PROFILE": "3g.40gb", "GPU_I_ID": "2"}
    series = openmetrics("DCGM_FI_PROF_GR_ENGINE_ACTIVE", instance, per_step(BUSY))
    series += limit_rows("DCGM_FI_DEV_POWER_MGMT_LIMIT", instance, 300)
    (usage,) = read(start_prometheus(series=series + counter([6.0] * 10)))
    assert usage.devices[0].samples[Signal.POWER_LIMIT].tolist() == [300.0] * 10


def test_only_limits_are_no_usage(start_prometheus):
    url = start_prometheus(series=limit_rows("DCGM_FI_DEV_POWER_MGMT_LIMIT", DCGM, 300))
    with pytest.raises(SourceError):
        read(url)


@pytest.mark.parametrize(
    ("signal", "statistic", "number"), [(Signal.WORK, "rate", 57.0), (Signal.POWER_LIMIT, "max", 300.0)], ids=str
)
def test_the_query_gives_the_number(start_prometheus, signal, statistic, number):
    limited = limit_rows("DCGM_FI_DEV_POWER_MGMT_LIMIT", DCGM, 300)
    url = start_prometheus(series=counter([6.0] * 10) + busy() + limited)
    query = PrometheusUsage(PrometheusSettings(url)).cite(WINDOW)(
        declaring(), Evidence("", signal, statistic, None, None, "")
    )
    assert query is not None
    (one,) = httpx.get(f"{url}/api/v1/query", params={"query": query}).json()["data"]["result"]
    assert float(one["value"][1]) == pytest.approx(number, rel=0.06)


@pytest.mark.parametrize(
    ("name", "labels", "unit"),
    [("gpuwise_gpu_energy_joules_total", OURS, 1.0), ("DCGM_FI_DEV_TOTAL_ENERGY_CONSUMPTION", DCGM, 1e3)],
)
def test_the_mean_power_is_that_of_the_energy_counter(start_prometheus, name, labels, unit):
    """A board that draws 100 W and 300 W in turn; the power of a step is its highest sample."""
    at_s = range(START_S - 60, START_S + 600, 15)
    watts = np.tile([100.0, 300.0], len(at_s) // 2)
    energy = dict(zip(at_s, (unit * np.cumsum(watts * 15.0)).tolist(), strict=True))
    series = openmetrics(name, labels, energy, kind="counter" if name.endswith("_total") else "gauge")
    (usage,) = read(start_prometheus(series=series + counter([6.0] * 10) + busy()))
    np.testing.assert_allclose(usage.devices[0].samples[Signal.MEAN_POWER], 200.0)
