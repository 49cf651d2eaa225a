"""The messages of the pod-resources API, against protobuf's own implementation."""

from collections.abc import Iterator
from typing import Any

import pytest
from google.protobuf.message import DecodeError
from hypothesis import given
from hypothesis import strategies as st
from tests.collect.pod_resources_api import MESSAGES

from gpuwise.collect.attribution.allocation import Allocation, Container
from gpuwise.collect.attribution.messages import allocations, fields, get_request

# Names as they are on nodes, and beyond: empty, with any character, longer than one byte of length holds.
TEXT = st.text(max_size=12) | st.text("ab-", min_size=120, max_size=140)
DRIVERS = st.sampled_from(["gpu.nvidia.com", "nic.example.com", ""])


@st.composite
def responses(draw: st.DrawFn) -> Any:
    """A ListPodResourcesResponse with fields that the exporter reads and fields that it skips."""
    response = MESSAGES["ListPodResourcesResponse"]()
    for _ in range(draw(st.integers(0, 3))):
        pod = response.pod_resources.add(name=draw(TEXT), namespace=draw(TEXT))
        for _ in range(draw(st.integers(0, 2))):
            container = pod.containers.add(name=draw(TEXT))
            container.cpu_ids.extend(draw(st.lists(st.integers(-1, 2**40), max_size=3)))
            for _ in range(draw(st.integers(0, 2))):
                ids = draw(st.lists(TEXT, max_size=3))
                devices = container.devices.add(resource_name=draw(TEXT), device_ids=ids)
                devices.topology.nodes.add(ID=draw(st.integers(0, 300)))
            container.memory.add(memory_type="memory", size=draw(st.integers(0, 2**64 - 1)))
            for _ in range(draw(st.integers(0, 2))):
                claim = container.dynamic_resources.add(claim_name=draw(TEXT), claim_namespace=draw(TEXT))
                claim.claim_resources.add(driver_name=draw(DRIVERS), pool_name="node", device_name=draw(TEXT))
    return response


def expected(response: Any) -> Iterator[Allocation]:
    for pod in response.pod_resources:
        for container in pod.containers:
            owner = Container(pod.namespace, pod.name, container.name)
            yield from (Allocation(owner, device) for devices in container.devices for device in devices.device_ids)
            for claim in container.dynamic_resources:
                for one in claim.claim_resources:
                    if one.driver_name == "gpu.nvidia.com":
                        yield Allocation(owner, one.device_name)


@given(responses())
def test_a_list_is_read_as_protobuf_reads_it(response: Any):
    assert list(allocations(response.SerializeToString())) == list(expected(response))


@given(responses())
def test_the_answer_of_get_is_read_in_the_same_way(response: Any):
    for pod in response.pod_resources:
        answer = MESSAGES["GetPodResourcesResponse"](pod_resources=pod)
        one = MESSAGES["ListPodResourcesResponse"](pod_resources=[pod])
        assert list(allocations(answer.SerializeToString())) == list(expected(one))


@given(namespace=TEXT, pod=TEXT)
def test_a_request_is_read_by_protobuf(namespace: str, pod: str):
    request = MESSAGES["GetPodResourcesRequest"].FromString(get_request(namespace, pod))
    assert (request.pod_namespace, request.pod_name) == (namespace, pod)


@given(responses(), st.data())
def test_an_answer_that_is_cut_off_is_an_error_or_ends_between_two_fields(response: Any, data: st.DataObject):
    whole = response.SerializeToString()
    part = whole[: data.draw(st.integers(0, len(whole)))]
    try:
        read = MESSAGES["ListPodResourcesResponse"].FromString(part)
    except DecodeError:
        with pytest.raises(ValueError, match=r"ends|end"):
            list(allocations(part))
    else:
        assert list(allocations(part)) == list(expected(read))


@given(st.binary(max_size=60))
def test_other_bytes_are_an_error_and_nothing_else(content: bytes):
    try:
        list(allocations(content))
    except ValueError:
        return
    assert fields(content) is not None


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"\x0b", "field 1 has wire type 3"),
        (b"\x02\x00", "a field has number 0"),
        (b"\x0a\x05ab", "ends 3 bytes before its last field"),
        (b"\x09\x00", "ends 7 bytes before its last field"),
        (b"\x0a" + b"\x80" * 20, "the number at byte 1 does not end"),
    ],
)
def test_an_error_tells_what_is_wrong(content: bytes, message: str):
    with pytest.raises(ValueError, match=message):
        fields(content)
