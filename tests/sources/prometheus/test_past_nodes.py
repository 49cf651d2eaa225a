"""Nodes that no longer exist, by kube-state-metrics in a real Prometheus."""

from dataclasses import replace

import pytest
from tests.prometheus_server import NEEDS_PROMETHEUS, StartPrometheus, openmetrics

from gpuwise.model.gpu import named
from gpuwise.model.inventory import CapacityType, Inventory, Node, Unread, WorkloadRef
from gpuwise.model.usage import Window
from gpuwise.sources.kubernetes.settings import InventorySettings
from gpuwise.sources.prometheus.node_state import label_forms, node_object
from gpuwise.sources.prometheus.settings import PrometheusSettings
from gpuwise.sources.prometheus.usage import PrometheusUsage

from .test_presence import SERVERS, front

HOUR = 3_600
START = 1_780_272_000
WINDOW = Window(START, START + 48 * HOUR, 300)
BORN = START - 30 * 24 * HOUR
A1 = Node("a1", named("A100-80GB"), "NVIDIA-A100-SXM4-80GB", 4, {}, CapacityType.ON_DEMAND, None, created_s=BORN)
TARGET = {"instance": "10.0.0.5:8080", "job": "kube-state-metrics"}
SPOT = {"label_karpenter_sh_capacity_type": "spot", "label_nvidia_com_gpu_product": "NVIDIA-A100-SXM4-80GB"}


def times(first_h: float, last_h: float, value: float = 1.0) -> dict[float, float]:
    return {float(at): value for at in range(START + int(first_h * HOUR), START + int(last_h * HOUR), 60)}


def node(
    name: str, hours: tuple[float, float], *, created_s: float = BORN, gpus: float = 4, labels=None,
    target: dict[str, str] = TARGET, resource: str = "nvidia_com_gpu", without: tuple[str, ...] = (),
) -> dict[str, list[str]]:  # fmt: skip
    """The series of a node by metric."""
    named_node = {"node": name} | target
    unit = {"resource": resource, "unit": "integer"}
    made = {
        "kube_node_created": (named_node, times(*hours, created_s)),
        "kube_node_info": (named_node | {"kernel_version": "6.1"}, times(*hours)),
        "kube_node_labels": (named_node | (SPOT if labels is None else labels), times(*hours)),
        "kube_node_status_capacity": (named_node | unit, times(*hours, gpus)),
    }
    return {name: [openmetrics(name, *one)] for name, one in made.items() if name not in without}


def card(name: str, gpu: str, **labels: str) -> dict[str, list[str]]:
    row = {"UUID": gpu, "Hostname": name, "modelName": "NVIDIA A100-SXM4-80GB", "instance": f"{name}:9400"} | labels
    return {"DCGM_FI_DEV_GPU_UTIL": [openmetrics("DCGM_FI_DEV_GPU_UTIL", row, times(0, 12, 50.0))]}


def written(*parts: dict[str, list[str]]) -> str:
    """All series, with one type line for each metric."""
    lines: dict[str, list[str]] = {}
    for part in parts:
        for name, texts in part.items():
            for text in texts:
                kind, *rows = text.splitlines()
                lines.setdefault(name, [kind]).extend(rows)
    return "".join("\n".join(rows) + "\n" for rows in lines.values())


WEST = TARGET | {"instance": "10.9.0.5:8080"}
PRESENT = node("a1", (0, 48), labels={"label_karpenter_sh_capacity_type": "on-demand"})


@pytest.fixture
def past(start_prometheus: StartPrometheus):
    def read(*parts, nodes=(A1,), settings=None, unread=(), front=None, **matchers: str) -> list[Node]:
        url = start_prometheus(series=written(*parts))
        usage = PrometheusUsage(
            PrometheusSettings(url, matchers=matchers), settings or InventorySettings(), transport=front
        )
        fleet = Inventory(WINDOW.end_s, {one.name: one for one in nodes}, (), {}, unread)
        return list(usage.past_nodes(fleet, WINDOW))

    return read


@NEEDS_PROMETHEUS
class TestPastNodes:
    def test_a_node_that_is_gone_has_its_life_card_and_capacity_type(self, past):
        born = START + 5 * HOUR + 17
        [found] = past(PRESENT, node("s1", (5.25, 20), created_s=born))
        assert (found.name, found.created_s, found.gone_s) == ("s1", born, START + 20 * HOUR)
        assert (found.gpu_type, found.gpu_count, found.capacity_type) == (named("A100-80GB"), 4, CapacityType.SPOT)
        assert found.whole_gpus == 4

    def test_a_node_without_gpus_and_nodes_that_exist_are_not_past(self, past):
        assert past(PRESENT, node("cpu-1", (0, 20), resource="cpu")) == []

    def test_without_kube_state_metrics_there_are_none(self, past):
        assert past(card("s1", "GPU-1")) == []

    def test_a_node_without_a_label_for_it_has_no_capacity_type(self, past):
        [found] = past(PRESENT, node("s1", (0, 20), labels={"label_nvidia_com_gpu_product": "Tesla-T4"}))
        assert (found.gpu_type, found.capacity_type) == (named("T4"), None)

    def test_a_configured_label_is_recognised_in_its_sanitised_form(self, past):
        settings = InventorySettings(capacity_labels={"example.com/nodePool:cheap": CapacityType.RESERVED})
        labels = {"label_example_com_node_pool": "cheap"}
        [found] = past(PRESENT, node("s1", (0, 20), labels=labels), settings=settings)
        assert found.capacity_type is CapacityType.RESERVED

    def test_rows_of_its_gpus_say_what_labels_do_not(self, past):
        """The node offers each of 2 cards 4 times: kube-state-metrics counts 8 units, and no label says so."""
        cards = [card("s1", f"GPU-{number}") for number in (1, 2)]
        [found] = past(PRESENT, node("s1", (0, 20), gpus=8, labels={}), *cards)
        assert (found.gpu_type, found.gpu_count) == (named("A100-80GB"), 2)

    @pytest.mark.parametrize("server", SERVERS)
    def test_servers_that_select_no_names_by_a_pattern(self, past, server):
        cards = [card("s1", f"GPU-{number}") for number in (1, 2)]
        [found] = past(PRESENT, node("s1", (0, 20), gpus=8, labels={}), *cards, front=front(server))
        assert (found.name, found.gone_s, found.gpu_type, found.gpu_count) == (
            "s1", START + 20 * HOUR, named("A100-80GB"), 2,
        )  # fmt: skip

    @pytest.mark.parametrize("server", [None, *SERVERS])
    def test_without_resources_the_rows_name_the_nodes(self, past, server):
        less = ("kube_node_status_capacity", "kube_node_labels", "kube_node_created")
        parts = [node(name, hours, without=less) for name, hours in (("a1", (0, 48)), ("s1", (4, 12)))]
        [found] = past(*parts, card("s1", "GPU-1"), front=None if server is None else front(server))
        assert (found.created_s, found.gone_s) == (START + 4 * HOUR, START + 12 * HOUR)
        assert (found.gpu_count, found.capacity_type) == (1, None)

    def test_a_node_that_existed_before_the_window_has_no_known_creation(self, past):
        less = ("kube_node_created",)
        [found] = past(node("a1", (0, 48), without=less), node("s1", (0, 12), without=less))
        assert (found.created_s, found.gone_s) == (None, START + 12 * HOUR)

    def test_an_earlier_node_of_a_name_is_past(self, past):
        """Spot node a1 was replaced by an on-demand node of its name after 10 h."""
        again = START + 11 * HOUR
        earlier = node("a1", (0, 10), gpus=2)
        later = node("a1", (11, 48), created_s=again, labels={"label_karpenter_sh_capacity_type": "on-demand"})
        other = node("b1", (0, 48))
        [found] = past(earlier, later, other, nodes=(replace(A1, created_s=again), replace(A1, name="b1")))
        assert (found.name, found.created_s, found.gone_s) == ("a1", BORN, START + 10 * HOUR)
        assert (found.gpu_count, found.capacity_type) == (2, CapacityType.SPOT)

    def test_mig_instances_are_read(self, past):
        [found] = past(PRESENT, node("m1", (0, 20), gpus=2, resource="nvidia_com_mig_3g_40gb"))
        assert (found.mig, found.gpu_count, found.whole_gpus) == ({"3g.40gb": 2}, 1, 0)

    def test_a_node_that_is_still_reported_is_not_gone(self, past):
        assert past(PRESENT, node("s1", (0, 48))) == []

    def test_a_node_that_cannot_be_read_is_not_gone(self, past):
        unread = (Unread(WorkloadRef("", "Node", "s1", "u"), "a quantity"),)
        assert past(PRESENT, node("s1", (0, 20)), unread=unread) == []

    def test_a_renamed_label_of_the_node_is_read(self, past):
        """With honorLabels: false and a target label `node`, Prometheus renames the label of the series."""
        moved = [
            {
                name: [text.replace('node="', 'node="infra-1",exported_node="') for text in texts]
                for name, texts in one.items()
            }
            for one in (PRESENT, node("s1", (0, 20)))
        ]
        assert [one.name for one in past(*moved)] == ["s1"]


@NEEDS_PROMETHEUS
class TestOtherClusters:
    """A node of another cluster is never counted here (I28)."""

    def test_i28_a_node_that_another_target_reports_is_not_ours(self, past):
        assert past(PRESENT, node("s1", (0, 20), target=WEST)) == []

    def test_i28_a_namesake_of_a_node_does_not_make_a_target_ours(self, past):
        """The other cluster has a node a1 as well, created at another time."""
        theirs = node("a1", (0, 48), target=WEST, created_s=BORN + 1)
        assert past(PRESENT, theirs, node("s1", (0, 20), target=WEST)) == []

    def test_i28_an_earlier_instance_of_the_same_target_is_ours(self, past):
        """kube-state-metrics was restarted at another address after 24 h."""
        before = TARGET | {"instance": "10.0.0.4:8080"}
        parts = (node("a1", (0, 24), target=before), node("a1", (24, 48)), node("s1", (0, 20), target=before))
        assert [one.name for one in past(*parts)] == ["s1"]

    def test_i28_a_matcher_selects_the_cluster(self, past):
        east, west = ({**WEST, "cluster": name} for name in ("east", "west"))
        parts = (node("s1", (0, 20), target=east), node("s2", (0, 20), target=west))
        assert [one.name for one in past(*parts, cluster="east")] == ["s1"]

    def test_i28_targets_that_name_several_clusters_are_not_ours(self, past):
        east, west = ({**TARGET, "cluster": name} for name in ("east", "west"))
        parts = (node("a1", (0, 48), target=east), node("a1", (0, 48), target=west))
        assert past(*parts, node("s1", (0, 20), target=east)) == []

    def test_i28_without_nodes_in_the_inventory_nothing_is_known_to_be_ours(self, past):
        assert past(node("s1", (0, 20)), nodes=()) == []


@pytest.mark.parametrize(
    ("label", "forms"),
    [
        ("karpenter.sh/capacity-type", ("label_karpenter_sh_capacity_type", "label_karpenter_sh_capacity_type")),
        (
            "eks.amazonaws.com/capacityType",
            ("label_eks_amazonaws_com_capacity_type", "label_eks_amazonaws_com_capacityType"),
        ),
        ("cloud.google.com/gke-spot", ("label_cloud_google_com_gke_spot", "label_cloud_google_com_gke_spot")),
    ],
)
def test_names_of_labels(label, forms):
    assert label_forms(label) == forms


@pytest.mark.parametrize(
    ("resource", "name"),
    [
        ("nvidia_com_gpu", "nvidia.com/gpu"),
        ("nvidia_com_gpu_shared", "nvidia.com/gpu.shared"),
        ("nvidia_com_mig_1g_10gb", "nvidia.com/mig-1g.10gb"),
        ("nvidia_com_mig_1g_10gb_me_shared", "nvidia.com/mig-1g.10gb.me.shared"),
        ("volcano_sh_vgpu_number", "volcano.sh/vgpu-number"),
        ("example_com_a100", "example.com/a100"),
        ("nvidia_com_GA100_A100_PCIE_40GB", "nvidia.com/GA100_A100_PCIE_40GB"),
    ],
)
def test_names_of_resources(resource, name):
    made = node_object("s1", {}, {resource: 3.0}, InventorySettings(gpu_resources=("example.com/a100",)))
    assert made["status"]["capacity"] == {name: "3"}
