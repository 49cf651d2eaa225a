"""MIG instances: which ones a card has, and their placement."""

import re
from collections.abc import Iterator
from dataclasses import replace
from enum import Enum
from typing import Any

import pynvml

from gpuwise.collect.nvml.library import Calls
from gpuwise.collect.reading import Device, MigInstance

# NVML names a MIG device "NVIDIA H100 80GB HBM3 MIG 1g.10gb"; for a compute instance within it, "1c." precedes it.
_NAME = re.compile(r" MIG (?:\d+c\.)?(?P<profile>\d+g\.\d+gb\S*)$")


class MigMode(Enum):
    """Whether MIG is enabled on a card."""

    NONE = "the card does not support MIG"
    OFF = "MIG is disabled"
    ON = "MIG is enabled"
    UNKNOWN = "NVML returned an error"


def mig_mode(gpu: Any, calls: Calls) -> MigMode:
    """Whether MIG is enabled; if that is unknown, do not make calls that return 0 for a card in MIG mode."""
    mode = calls.ask_or((), pynvml.nvmlDeviceGetMigMode, gpu)
    if mode is None:
        return MigMode.UNKNOWN
    if not mode:
        return MigMode.NONE
    return MigMode.ON if mode[0] == pynvml.NVML_DEVICE_MIG_ENABLE else MigMode.OFF


def instances(gpu: Any, card: Device, known: dict[str, Device], calls: Calls) -> Iterator[tuple[Any, Device]]:
    """The handle and the description of each instance of a card.

    Args:
        gpu: handle of the card.
        card: its description.
        known: instances seen before, by UUID; added to. A UUID always describes the same instance.
        calls: the calls of this sweep.
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
    """MIG slots are sparse: an empty one returns "not found", which is not an error."""
    for slot in range(calls.ask(pynvml.nvmlDeviceGetMaxMigDeviceCount, gpu) or 0):
        try:
            yield pynvml.nvmlDeviceGetMigDeviceHandleByIndex(gpu, slot)
        except pynvml.NVMLError as error:
            if error.value != pynvml.NVML_ERROR_NOT_FOUND:
                calls.record_error(error.value)


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
