"""The cases of public reports in ../shared/cases/reading that have series: each with the right values of its README.

The window is 108 h: 96 h of samples, and the 12 h before them to the last midnight. In those 12 h a running pod counts
as using its GPU, which is why "used" is rarely 0.
"""

from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import pytest
from tests.e2e.reading import Case, Scan, played
from tests.prometheus_server import NEEDS_PROMETHEUS, StartPrometheus

pytestmark = NEEDS_PROMETHEUS

WINDOW_H, SAMPLED_H = 108, 96
BEFORE_H = WINDOW_H - SAMPLED_H
MONTH_H = 730
A100_80GB_USD_H, A100_40GB_USD_H, L40S_USD_H = 3.4309, 2.7447, 3.7664
IDLE_CHAT = [("Idle", "chat", {"kind": "ScaleTo", "replicas": 0})]
FREE_CARDS = [
    f'{metric}{{gpu="{gpu}",UUID="GPU-{node}-{gpu}",modelName="NVIDIA A100-SXM4-80GB",Hostname="{node}"}} {value}'
    for node in ("n1", "n2")
    for gpu in range(1, 8)
    for metric, value in (
        ("DCGM_FI_DEV_GPU_UTIL", 0),
        ("DCGM_FI_PROF_GR_ENGINE_ACTIVE", 0),
        ("DCGM_FI_DEV_POWER_USAGE", 60),
        ("DCGM_FI_DEV_FB_USED", 0),
    )
]
"""Seven idle cards of two nodes, which no pod uses."""


def monthly_usd(found: Scan) -> list[float]:
    return [one["saving"]["usd_month"] for one in found.data["recommendations"]]


def idle_part_of_a_card(case: Case, *, gpu: str, usd_h: float, part: float, cards: int = 1) -> None:
    """A pod with a part of a card, known by its name and price, is idle in the samples and used before them."""
    found = case.scan()
    row = found.workload()
    assert (row["workload"], row["gpu_type"]) == ("shop/StatefulSet/chat", gpu)
    assert row["allocated_gpu_h"] == pytest.approx(part * WINDOW_H)
    assert row["cost_usd"] == pytest.approx(part * WINDOW_H * usd_h)
    used, idle = round(part * BEFORE_H, 1), round(part * SAMPLED_H, 1)
    unknown = round(cards * WINDOW_H - part * WINDOW_H, 1)
    assert found.hours() == {"capacity": cards * WINDOW_H, "used": used, "idle": idle, "unknown": unknown}
    assert found.recommended() == IDLE_CHAT
    assert monthly_usd(found) == [pytest.approx(part * MONTH_H * usd_h, rel=1e-3)]


def idle_share_of_a_card(case: Case, *, gpu: str, cards: int, clients: int) -> None:
    """A pod that is the only one seen on a shared card has the whole card then, and its share of it before."""
    found = case.scan()
    used, idle = BEFORE_H / clients, SAMPLED_H
    row = found.workload()
    assert (row["gpu_type"], row["allocated_gpu_h"]) == (gpu, pytest.approx(used + idle))
    assert found.hours() == {
        "capacity": cards * WINDOW_H,
        "used": pytest.approx(used, abs=0.05),
        "idle": idle,
        "unknown": pytest.approx(cards * WINDOW_H - used - idle, abs=0.05),
    }
    assert found.recommended() == IDLE_CHAT
    assert found.data["recommendations"][0]["coverage"] == 1.0


def finished_pods(case: Case) -> None:
    """The evicted pods use no GPU: one of the two nodes is not needed, and the pod on it fits on the other."""
    found = case.scan()
    assert found.workload()["allocated_gpu_h"] == pytest.approx(2 * WINDOW_H)
    ((finding, name, change),) = found.recommended()
    assert (finding, name in ("n1", "n2")) == ("NodeUnderutilised", True)
    assert change["kind"] == "FreeNode"
    assert len(change["moves"]) == 1


def frozen_exporter(case: Case) -> None:
    found = case.scan()
    assert found.recommended() == []
    reason, detail = found.blocked("idle")["chat"]
    assert reason == "InsufficientData"
    assert "their exporter repeats an old page" in detail
    assert found.workload()["idle_usd"] is None
    assert found.hours() == {"capacity": 8 * WINDOW_H, "unknown": 8 * WINDOW_H}


def ha_pair(case: Case) -> None:
    """Both scrapers counted 0.5 requests a second. The sampled rate is up to 0.51."""
    found = case.scan()
    (blocked,) = [one for one in found.data["holds"] if one["stage"] == "idle"]
    (rate,) = [one["value"] for one in blocked["evidence"] if one["signal"] == "requests_per_second"]
    assert rate == pytest.approx(0.5, abs=0.02)
    assert blocked["reason"] == "Busy"


def hami_zero(case: Case) -> None:
    found = case.scan()
    assert (found.workload()["idle_gpu_h"], found.recommended()) == (0, [])
    assert found.blocked("idle")["chat"][0] == "Busy"
    assert found.hours() == {"capacity": 8 * WINDOW_H, "used": WINDOW_H, "unknown": 7 * WINDOW_H}


def namesake(case: Case) -> None:
    """Several clusters are refused with the label; with it, the pod of the other cluster is not ours."""
    done = case.try_scan()
    assert (done.code, done.out) == (1, "")
    for part in ("label cluster is east, west", "set prometheus.matchers to this cluster"):
        assert part in done.err
    found = case.scan(env={"GPUWISE_PROMETHEUS_MATCHERS": "cluster=east"})
    assert found.recommended() == []
    assert found.blocked("idle")["chat"][0] == "InsufficientData"
    assert "idle" not in found.hours()


def busy_node(case: Case, *, name: str, allocated_h: float, reason: str) -> None:
    """All eight cards work for one pod that requests no nvidia.com/gpu: the node stays, the pod is a workload."""
    found = case.scan()
    row = found.workload()
    assert (row["workload"], row["idle_gpu_h"]) == (f"train/StatefulSet/{name}", 0)
    assert row["allocated_gpu_h"] == pytest.approx(allocated_h)
    assert found.recommended() == []
    assert found.blocked("idle")[name][0] == "Busy"
    assert found.blocked("free-node")["n1"][0] == reason
    free = {"unknown": 8 * WINDOW_H - allocated_h} if allocated_h < 8 * WINDOW_H else {}
    assert found.hours() == {"capacity": 8 * WINDOW_H, "used": allocated_h} | free


def without_product_label(case: Case) -> None:
    found = case.scan()
    rows = {one["workload"]: (one["gpu_type"], one["allocated_gpu_h"]) for one in found.data["workloads"]}
    assert rows == {f"shop/StatefulSet/w{at}": ("H100-80GB", pytest.approx(WINDOW_H)) for at in range(8)}
    assert found.hours() == {"capacity": 8 * WINDOW_H, "used": 8 * WINDOW_H}
    assert found.recommended() == []


def quantity_with_suffix(case: Case) -> None:
    idle_part_of_a_card(case, gpu="A100-80GB", usd_h=A100_80GB_USD_H, part=1, cards=8)
    done = case.run("doctor")
    assert "Traceback" not in done.err + done.out
    (line,) = [one for one in done.out.splitlines() if " inventory: " in one]
    assert line.startswith("ok")


def unmeasured_replicas(case: Case) -> None:
    found = case.scan()
    assert found.recommended() == []
    reason, detail = found.blocked("idle")["chat"]
    assert (reason, detail.split(" (")[0]) == ("InsufficientData", "3 of 4 running pods lack samples")
    row = found.workload()
    assert (row["allocated_gpu_h"], row["idle_gpu_h"], row["unknown_gpu_h"]) == (4 * WINDOW_H, SAMPLED_H, 3 * WINDOW_H)


def vgpu_guest(case: Case) -> None:
    """A quarter of an L40S in hours, price and size. One sensor is not enough to stop the pod."""
    found = case.scan()
    row = found.workload()
    assert (row["gpu_type"], row["allocated_gpu_h"]) == ("L40S", WINDOW_H / 4)
    assert row["cost_usd"] == pytest.approx(WINDOW_H / 4 * L40S_USD_H)
    assert found.hours() == {"capacity": WINDOW_H / 4, "used": BEFORE_H / 4, "idle": SAMPLED_H / 4}
    assert found.recommended() == []
    assert found.blocked("idle")["chat"][0] == "NeedsSecondSignal"
    assert found.blocked("sharing")["chat"] == ("NotShareable", "its GPU is a vGPU, which is a part of a card")


CASES: dict[str, Callable[[Case], None]] = {
    # Two 3g.40gb of a card in three compute instances each.
    "compute-instance": partial(idle_part_of_a_card, gpu="A100-80GB", usd_h=A100_80GB_USD_H, part=1 / 6),
    "dcgm-exporter-1-names": partial(idle_part_of_a_card, gpu="A100-80GB", usd_h=A100_80GB_USD_H, part=1, cards=8),
    "finished-pods": finished_pods,
    "frozen-exporter": frozen_exporter,
    "gke-cut-node": partial(idle_part_of_a_card, gpu="A100-40GB", usd_h=A100_40GB_USD_H, part=1 / 7),
    "gke-shared-node": partial(idle_share_of_a_card, gpu="T4", cards=1, clients=4),
    "ha-pair-doubles-requests": ha_pair,
    "hami-names-before-rename": partial(idle_share_of_a_card, gpu="A100-80GB", cards=8, clients=10),
    "hami-split-node": partial(idle_share_of_a_card, gpu="A100-80GB", cards=1, clients=10),
    "hami-zero-on-a-busy-card": hami_zero,
    "karpenter-a100": partial(idle_part_of_a_card, gpu="A100-40GB", usd_h=A100_40GB_USD_H, part=1, cards=8),
    "namesake-in-another-cluster": namesake,
    "node-held-by-other-resource": partial(busy_node, name="slice", allocated_h=8 * WINDOW_H, reason="SingleReplica"),
    # How many GPUs the claim is for is not known: one before the first sample.
    "node-held-by-resource-claims": partial(
        busy_node, name="llm", allocated_h=8 * SAMPLED_H + BEFORE_H, reason="InsufficientData"
    ),
    "node-without-product-label": without_product_label,
    "quantity-with-suffix": quantity_with_suffix,
    "unmeasured-replicas": unmeasured_replicas,
    "vgpu-guest": vgpu_guest,
}
"""The check of each case, by the name of its folder."""

MORE_SERIES = {"finished-pods": FREE_CARDS}
"""Further series: without samples of the free cards, no node is removed whatever its pods are."""


@pytest.mark.parametrize("name", CASES)
def test_the_case_is_right(name: str, gpuwise: Callable[..., Any], start_prometheus: StartPrometheus, tmp_path: Path):
    with played(name, gpuwise, start_prometheus, tmp_path, MORE_SERIES.get(name, ())) as case:
        CASES[name](case)
