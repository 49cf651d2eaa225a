import json
from dataclasses import replace

import pytest
from tests.collect.readings import card, instance
from tests.given_cases import given_case

from gpuwise.collect.attribution.allocation import Allocation, Container, holders
from gpuwise.collect.reading import Device, MigInstance

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


def test_the_case_dra_device_names_is_matched():
    names = json.loads((given_case("reading", "dra-device-names") / "names.json").read_text())
    whole = card("GPU-cccc", 0)
    plain, with_media = (_at_slice_four(whole, number, profile_id) for number, profile_id in ((3, 19), (4, 20)))
    devices = (whole, plain, with_media)
    found = {name: list(holders([Allocation(TRAINER, name)], devices)) for name in names["read"] + names["not read"]}
    assert found == {
        "gpu-0": [whole.uuid],
        "gpu-0-mig-19-4-1": [plain.uuid],
        "gpu-0-mig-1g10gb-19-4": [plain.uuid],
        "gpu-0-mig-1g10gb-me-20-4": [with_media.uuid],
    }


def _at_slice_four(of: Device, number: int, profile_id: int) -> Device:
    return replace(instance(of, number), mig=MigInstance(number, 0, "1g.10gb", profile_id=profile_id, start=4, size=1))


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
