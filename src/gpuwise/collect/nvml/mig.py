"""MIG instances: which there are on a card, and where they lie."""

import re
from collections.abc import Iterator
from dataclasses import replace
from enum import Enum
from typing import Any

import pynvml

from gpuwise.collect.nvml.library import Calls
from gpuwise.collect.reading import Device, MigInstance

# NVML names a MIG device "NVIDIA H100 80GB HBM3 MIG 1g.10gb"; a compute instance within it adds "1c." in front.
_NAME = re.compile(r" MIG (?:\d+c\.)?(?P<profile>\d+g\.\d+gb\S*)$")


class MigMode(Enum):
    """Whether a card is cut into instances."""

    NONE = "the card has no such mode"
    OFF = "not cut"
    ON = "cut"
    UNKNOWN = "NVML refused to tell"


def mig_mode(gpu: Any, calls: Calls) -> MigMode:
    """Whether a card is cut; where that is not known, nothing may be asked that says 0 of a cut card."""
    mode = calls.ask_or((), pynvml.nvmlDeviceGetMigMode, gpu)
    if mode is None:
        return MigMode.UNKNOWN
    if not mode:
        return MigMode.NONE
    return MigMode.ON if mode[0] == pynvml.NVML_DEVICE_MIG_ENABLE else MigMode.OFF


def instances(gpu: Any, card: Device, known: dict[str, Device], calls: Calls) -> Iterator[tuple[Any, Device]]:
    """The handle of each instance of a card, and what it is.

    Args:
        gpu: handle of the card.
        card: what it is.
        known: instances seen before, by UUID; added to. What an instance is does not change as long as it has its UUID.
        calls: of this sweep.
    """
    for handle in _handles(gpu, calls):
        uuid = calls.ask(pynvml.nvmlDeviceGetUUID, handle)
        if uuid is None:
            continue
        if uuid not in known:
            mig = _instance(gpu, handle, calls)
            if mig is None:
                continue
            known[uuid] = replace(card, uuid=uuid, mig=mig)
        yield handle, known[uuid]


def _handles(gpu: Any, calls: Calls) -> Iterator[Any]:
    """MIG slots are sparse: an empty one answers "not found", which is no error."""
    for slot in range(calls.ask(pynvml.nvmlDeviceGetMaxMigDeviceCount, gpu) or 0):
        try:
            yield pynvml.nvmlDeviceGetMigDeviceHandleByIndex(gpu, slot)
        except pynvml.NVMLError as error:
            if error.value != pynvml.NVML_ERROR_NOT_FOUND:
                calls.refuse(error.value)


def _instance(gpu: Any, handle: Any, calls: Calls) -> MigInstance | None:
    number = calls.ask(pynvml.nvmlDeviceGetGpuInstanceId, handle)
    if number is None:
        return None
    named = _NAME.search(calls.ask(pynvml.nvmlDeviceGetName, handle) or "")
    mig = MigInstance(
        gpu_instance_id=number,
        compute_instance_id=calls.ask(pynvml.nvmlDeviceGetComputeInstanceId, handle),
        profile=named["profile"] if named else "",
    )
    instance = calls.ask(pynvml.nvmlDeviceGetGpuInstanceById, gpu, number)
    info = None if instance is None else calls.ask(pynvml.nvmlGpuInstanceGetInfo, instance)
    if info is None:
        return mig
    return replace(mig, profile_id=info.profileId, start=info.placement.start, size=info.placement.size)
