from pathlib import Path

import pytest

from gpuwise.collect.pod_resources import PodResources
from gpuwise.model.errors import SourceError
from gpuwise.model.usage import PodRef

from .conftest import kubelet

TRAINER = PodRef("research", "trainer-0", "main")
SERVER = PodRef("serving", "llm-7d9-x", "server")
NOTEBOOK = PodRef("research", "notebook-0", "notebook")


def test_gpu_and_mig_uuids_are_told_with_their_container(tmp_path: Path):
    socket = tmp_path / "kubelet.sock"
    with kubelet(socket, {TRAINER: ("GPU-aaaa", "GPU-bbbb"), SERVER: ("MIG-1111",)}):
        assert PodResources(socket)() == {"GPU-aaaa": (TRAINER,), "GPU-bbbb": (TRAINER,), "MIG-1111": (SERVER,)}


def test_time_sliced_replicas_are_one_device_with_several_holders(tmp_path: Path):
    socket = tmp_path / "kubelet.sock"
    with kubelet(socket, {TRAINER: ("GPU-aaaa::0",), NOTEBOOK: ("GPU-aaaa::1", "GPU-aaaa::3")}):
        assert PodResources(socket)() == {"GPU-aaaa": (TRAINER, NOTEBOOK)}


def test_a_node_without_gpu_pods_has_no_holders(tmp_path: Path):
    socket = tmp_path / "kubelet.sock"
    with kubelet(socket, {}):
        assert PodResources(socket)() == {}


def test_a_socket_that_is_gone_is_an_error_not_an_empty_answer(tmp_path: Path):
    with pytest.raises(SourceError, match=r"UNAVAILABLE; mount /var/lib/kubelet/pod-resources"):
        PodResources(tmp_path / "gone.sock")()


def test_it_finds_the_kubelet_again_after_a_restart(tmp_path: Path):
    socket = tmp_path / "kubelet.sock"
    resources = PodResources(socket)
    with kubelet(socket, {TRAINER: ("GPU-aaaa",)}):
        assert resources() == {"GPU-aaaa": (TRAINER,)}
    with pytest.raises(SourceError):
        resources()
    with kubelet(socket, {SERVER: ("GPU-aaaa",)}):
        assert resources() == {"GPU-aaaa": (SERVER,)}
