"""Bills of small fleets whose usage is in a real Prometheus, computed on paper in each test."""

from collections.abc import Callable
from pathlib import Path

import pytest
from tests.finops.recorded import BUSY, HOUR, IDLE, PRICES, Fleet, at
from tests.finops.test_capacity import costs, hours
from tests.prometheus_server import NEEDS_PROMETHEUS, StartPrometheus, openmetrics

from gpuwise.model.report import WeeklyReport
from gpuwise.sources.prometheus.settings import PrometheusSettings
from gpuwise.sources.prometheus.usage import PrometheusUsage

pytestmark = NEEDS_PROMETHEUS

EVERY_S = 150
KSM = {"instance": "10.0.0.5:8080", "job": "kube-state-metrics"}
MODELS = {"A100-80GB": "NVIDIA A100-SXM4-80GB", "T4": "Tesla T4"}
NAMES = {
    "sm_activity_ratio": ("DCGM_FI_PROF_SM_ACTIVE", 1.0),
    "gpu_util_ratio": ("DCGM_FI_DEV_GPU_UTIL", 100.0),
    "power_watts": ("DCGM_FI_DEV_POWER_USAGE", 1.0),
}
Bill = Callable[..., WeeklyReport]


class Series:
    """OpenMetrics text with one type line for each metric."""

    def __init__(self) -> None:
        self._lines: dict[str, list[str]] = {}

    def add(self, name: str, labels: dict[str, str], span: tuple[float, float], value: float) -> None:
        samples = {float(second): value for second in range(at(span[0]), at(span[1]), EVERY_S)}
        kind, *rows = openmetrics(name, labels, samples).splitlines()
        self._lines.setdefault(name, [kind]).extend(rows)

    def card(
        self, gpu: str, node: str, span: tuple[float, float], *, pod: str = "", namespace: str = "red",
        card: str = "A100-80GB", values=BUSY,
    ) -> None:  # fmt: skip
        """dcgm-exporter's rows of a card, of a pod or without one."""
        row = {"gpu": "0", "UUID": gpu, "Hostname": node, "modelName": MODELS[card], "instance": f"{node}:9400"}
        row |= {"namespace": namespace, "pod": pod, "container": "c"} if pod else {}
        for name, value in values.items():
            metric, scale = NAMES[name]
            self.add(metric, row, span, value * scale)

    def node(self, name: str, span: tuple[float, float], *, created_h: float, gpus: int, capacity: str) -> None:
        """kube-state-metrics' series of a node."""
        node = {"node": name} | KSM
        labels = {"label_karpenter_sh_capacity_type": capacity}
        self.add("kube_node_created", node, span, at(created_h))
        self.add("kube_node_labels", node | (labels if capacity else {}), span, 1)
        self.add("kube_node_status_capacity", node | {"resource": "nvidia_com_gpu", "unit": "integer"}, span, gpus)

    def __str__(self) -> str:
        return "".join("\n".join(lines) + "\n" for lines in self._lines.values())


@pytest.fixture
def fleet(tmp_path: Path) -> Fleet:
    made = Fleet(tmp_path)
    for team in ("red", "blue"):
        made.namespace(team, team=team)
    return made


@pytest.fixture
def billed(start_prometheus: StartPrometheus) -> Bill:
    def report(fleet: Fleet, series: Series, **settings) -> WeeklyReport:
        usage = PrometheusUsage(PrometheusSettings(start_prometheus(series=str(series))))
        return fleet.report(usage=usage, **settings)

    return report


@pytest.mark.parametrize(("together_h", "x_h", "y_h"), [(30, 54 + 15, 15), (60, 24 + 30, 30)])
def test_the_pods_of_a_shared_card_divide_it_step_by_step(fleet, billed, together_h, x_h, y_h):
    """x has a T4 for 84 h and y shares it at the end: while both have it, each has half of it. 84 h, $84."""
    fleet.node("t1", card="T4", shared_by=2)
    series = Series()
    for name, space, first in (("x", "red", 0), ("y", "blue", 84 - together_h)):
        fleet.deployment(name, namespace=space)
        pod = f"{name}-5d4f8c7b9-zzzzz"
        fleet.pod(pod, "t1", hours=None, owner=name, namespace=space, started_h=first)
        series.card("GPU-1", "t1", (first, 84), pod=pod, namespace=space, card="T4")
    report = billed(fleet, series, hours=84)
    assert hours(report.bill) == {"used": pytest.approx(84)}
    assert costs(report) == {
        "red/Deployment/x": (pytest.approx(x_h), pytest.approx(x_h)),
        "blue/Deployment/y": (pytest.approx(y_h), pytest.approx(y_h)),
    }


def spot_node(fleet: Fleet, *, capacity: str = "spot", job: str = "") -> Series:
    """Node s1 (2 cards, hours 10 to 58) was removed; a pod had one of its cards, the other was free or a Job's."""
    fleet.node("a1")
    fleet.node("s0", capacity="spot")
    fleet.deployment("w")
    fleet.pod("w-5d4f8c7b9-zzzzz", "a1", hours=None, owner="w", started_h=0)
    series = Series()
    series.card("GPU-1", "a1", (0, 84), pod="w-5d4f8c7b9-zzzzz")
    series.card("GPU-2", "s0", (0, 84), values=IDLE)
    series.card("GPU-3", "s1", (10, 58), pod="w-5d4f8c7b9-zz222")
    series.card("GPU-4", "s1", (10, 58), pod=job, namespace="blue", values=BUSY if job else IDLE)
    series.node("a1", (0, 84), created_h=-2_000, gpus=1, capacity="on-demand")
    series.node("s0", (0, 84), created_h=-2_000, gpus=1, capacity="spot")
    series.node("s1", (10, 58), created_h=10, gpus=2, capacity=capacity)
    return series


def test_a_node_that_only_metrics_remember_has_its_time_and_its_price(fleet, billed):
    """a1: 84 h at $4. s0: 84 h free at $1. s1: 48 h used and 48 h free at $1; nothing is unpriced."""
    bill = billed(fleet, spot_node(fleet), hours=84).bill
    assert hours(bill) == pytest.approx({"used": 84 + 48, "unallocated": 84 + 48})
    assert bill.used_usd == pytest.approx(84 * 4 + 48)
    assert bill.unallocated_usd == pytest.approx(84 + 48)
    assert bill.unpriced_gpu_s == 0


def test_without_a_label_for_it_a_gone_node_stays_unpriced(fleet, billed):
    """A100s cost $4 and $1: the 96 h of s1 are counted, and have no price."""
    bill = billed(fleet, spot_node(fleet, capacity=""), hours=84).bill
    assert hours(bill) == pytest.approx({"used": 84 + 48, "unallocated": 84 + 48})
    assert bill.unpriced_gpu_s == pytest.approx(96 * HOUR)
    assert bill.used_usd == pytest.approx(84 * 4)


def test_a_deleted_pod_on_a_node_that_is_gone_has_an_owner(fleet, billed):
    """The Job's object and its node are gone: its 48 h fall to its namespace, at the price of the node."""
    report = billed(fleet, spot_node(fleet, job="train-x7k2p"), hours=84)
    assert costs(report)["deleted workloads in namespace blue"] == (pytest.approx(48), pytest.approx(48))
    assert {one.team for one in report.teams} == {"red", "blue"}


def test_a_node_of_the_metrics_keeps_the_price_of_the_run_that_found_it(fleet, start_prometheus, tmp_path):
    """The first run finds s1 at $1 an hour; a later price file says $3 for spot nodes that exist."""
    ledger, series = tmp_path / "ledger.db", spot_node(fleet)
    usage = PrometheusUsage(PrometheusSettings(start_prometheus(series=str(series))))
    fleet.report(usage=usage, hours=84, ledger=ledger, run=True)
    later = PRICES.replace("spot,1", "spot,3")
    bill = fleet.report(usage=usage, hours=84, ledger=ledger, prices=later).bill
    assert bill.unallocated_usd == pytest.approx(84 * 3 + 48)


def test_a_pod_that_pulls_its_image_has_the_card_that_no_row_names_for_it(fleet, billed):
    """The card was free until hour 60; then a pod was assigned to the node, and the rows still name none."""
    fleet.node("a1")
    fleet.deployment("x")
    fleet.pod("x-5d4f8c7b9-zzzzz", "a1", hours=None, owner="x", started_h=60, phase="Pending")
    series = Series()
    series.card("GPU-1", "a1", (0, 84), values=IDLE)
    report = billed(fleet, series, hours=84)
    assert hours(report.bill) == pytest.approx({"unallocated": 60, "unknown": 24})
    assert costs(report) == {"red/Deployment/x": (pytest.approx(24), pytest.approx(96))}


def test_hours_without_a_sample_of_a_free_card_are_unknown(fleet, billed):
    """The exporter was silent on Tuesday and for 6 h on Wednesday."""
    fleet.node("a1")
    series = Series()
    for span in ((0, 24), (48, 60), (66, 84)):
        series.card("GPU-1", "a1", span, values=IDLE)
    report = billed(fleet, series, hours=84)
    assert hours(report.bill) == pytest.approx({"unallocated": 84 - 30, "unknown": 30})
    assert any("no sample of 2026-11-17." in note for note in report.quality.notes)
