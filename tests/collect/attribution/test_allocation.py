import pytest
from tests.collect.readings import card, instance

from gpuwise.collect.attribution.allocation import Allocation, Container, holders

TRAINER = Container("research", "trainer-0", "main")
NOTEBOOK = Container("research", "notebook-0", "notebook")
WHOLE, CUT = card("GPU-aaaa", 0), card("GPU-bbbb", 1)
INSTANCE = instance(CUT, 7)
DEVICES = (WHOLE, CUT, INSTANCE)


@pytest.mark.parametrize(
    ("name", "uuid"),
    [
        ("GPU-aaaa", "GPU-aaaa"),
        ("MIG-1-7", "MIG-1-7"),
        ("GPU-aaaa::3", "GPU-aaaa"),  # time-slicing and MPS
        ("MIG-1-7::0", "MIG-1-7"),
        ("MIG-GPU-bbbb/7/0", "MIG-1-7"),  # the device plugin before R470
        ("nvidia0", "GPU-aaaa"),  # GKE
        ("nvidia1/gi7", "MIG-1-7"),
        ("nvidia0/vgpu2", "GPU-aaaa"),
        ("nvidia1/gi7/vgpu0", "MIG-1-7"),
        ("gpu-0", "GPU-aaaa"),  # resource claims
        ("gpu-1-mig-19-7-1", "MIG-1-7"),
        ("gpu-1-mig-1g10gb-19-7", "MIG-1-7"),
        ("gpu-1-mig-1g10gb-me-19-7", "MIG-1-7"),
    ],
)
def test_every_name_of_a_device_is_matched(name: str, uuid: str):
    assert holders([Allocation(TRAINER, name)], DEVICES) == {uuid: (TRAINER,)}


@pytest.mark.parametrize(
    "name",
    ["", "GPU-zzzz", "gpu-9", "nvidia7/gi1", "gpu-1-mig-19-0-1", "gpu-1-mig-1g10gb-19-0", "hugepages-1Gi", "MIG-"],
)
def test_an_allocation_that_is_not_a_gpu_of_this_node_is_left_out(name: str):
    assert holders([Allocation(TRAINER, name)], DEVICES) == {}


def test_replicas_are_one_device_and_each_container_is_listed_once():
    given = [
        Allocation(TRAINER, "GPU-aaaa::0"),
        Allocation(NOTEBOOK, "GPU-aaaa::1"),
        Allocation(NOTEBOOK, "GPU-aaaa::3"),
    ]
    assert holders(given, DEVICES) == {"GPU-aaaa": (TRAINER, NOTEBOOK)}
