from pathlib import Path

import pytest
from tests.collect.conftest import kubelet

from gpuwise.collect.attribution.allocation import Allocation, Container
from gpuwise.collect.attribution.pod_resources import PodResources
from gpuwise.model.errors import SourceError

TRAINER = Container("research", "trainer-0", "main")
SERVER = Container("serving", "llm-7d9-x", "server")


@pytest.fixture
def socket(tmp_path: Path) -> Path:
    return tmp_path / "kubelet.sock"


def test_devices_are_listed_with_their_container(socket: Path):
    with kubelet(socket, {TRAINER: ("GPU-aaaa", "GPU-bbbb"), SERVER: ("MIG-1111",)}):
        allocations = PodResources(socket).list()
        assert set(allocations) == {
            Allocation(TRAINER, "GPU-aaaa"),
            Allocation(TRAINER, "GPU-bbbb"),
            Allocation(SERVER, "MIG-1111"),
        }


def test_only_the_resource_claims_of_gpus_are_listed(socket: Path):
    claims = {SERVER: (("gpu.nvidia.com", "gpu-0-mig-19-4-1"), ("nic.example.com", "gpu-0"))}
    with kubelet(socket, {}, claims=claims):
        assert PodResources(socket).list() == (Allocation(SERVER, "gpu-0-mig-19-4-1"),)


def test_a_node_without_gpu_pods_has_no_allocations(socket: Path):
    with kubelet(socket, {}):
        assert PodResources(socket).list() == ()


def test_a_missing_socket_is_an_error_not_an_empty_list(tmp_path: Path):
    gone = PodResources(tmp_path / "gone.sock")
    with pytest.raises(SourceError, match=r"UNAVAILABLE; mount /var/lib/kubelet/pod-resources"):
        gone.list()
    with pytest.raises(SourceError, match="UNAVAILABLE"):
        gone.of_pod("research", "trainer-0")


def test_it_reconnects_after_a_restart_of_the_kubelet(socket: Path):
    resources = PodResources(socket)
    with kubelet(socket, {TRAINER: ("GPU-aaaa",)}):
        assert resources.list() == (Allocation(TRAINER, "GPU-aaaa"),)
    with pytest.raises(SourceError):
        resources.list()
    with kubelet(socket, {SERVER: ("GPU-aaaa",)}):
        assert resources.list() == (Allocation(SERVER, "GPU-aaaa"),)


def test_the_allocations_of_one_pod_can_be_read(socket: Path):
    with kubelet(socket, {TRAINER: ("GPU-aaaa",), SERVER: ("GPU-bbbb",)}):
        resources = PodResources(socket)
        assert resources.of_pod("serving", "llm-7d9-x") == (Allocation(SERVER, "GPU-bbbb"),)
        assert resources.of_pod("serving", "gone") == ()


def test_without_get_there_are_no_allocations_of_one_pod(socket: Path):
    with kubelet(socket, {SERVER: ("GPU-bbbb",)}, has_get=False):
        assert PodResources(socket).of_pod("serving", "llm-7d9-x") == ()


def test_a_node_with_many_pods_is_listed_whole(socket: Path):
    """1,500 pods with 16 devices each: an answer of more than 1 MiB."""
    devices = {
        Container("team-with-a-long-name", f"worker-{pod}", "main"): tuple(f"GPU-{pod:04d}-{n:032d}" for n in range(16))
        for pod in range(1_500)
    }
    with kubelet(socket, devices):
        found = PodResources(socket).list()
    assert len(found) == 24_000
    assert {(one.container, one.device) for one in found} == {(ref, one) for ref, ids in devices.items() for one in ids}


def test_a_kubelet_that_hangs_is_an_error_after_the_deadline(socket: Path):
    with kubelet(socket, {TRAINER: ("GPU-aaaa",)}) as fake:
        fake.answers.clear()
        hanging = PodResources(socket, timeout_s=0.3)
        with pytest.raises(SourceError, match="does not answer: DEADLINE_EXCEEDED; mount"):
            hanging.list()
        with pytest.raises(SourceError, match="DEADLINE_EXCEEDED"):
            hanging.of_pod("research", "trainer-0")
        fake.answers.set()
        assert PodResources(socket).list() == (Allocation(TRAINER, "GPU-aaaa"),)


def test_an_answer_that_cannot_be_read_is_an_error(socket: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr("gpuwise.collect.attribution.pod_resources.unary", lambda *_, **__: b"\x0b")
    with pytest.raises(SourceError, match="does not answer: INTERNAL"):
        PodResources(socket).list()
