"""Splits the measurements of a device among the containers on it; the parts sum to the device's value.

Each part carries its method. A container that has a device to itself gets all of it (`whole`). On a shared device,
activity, power and energy are split by the SM time of each container's processes (`sm_time`), memory by what those
processes use (`process_memory`), and a card's power by the activity of its MIG instances times their slices
(`instance_sm_time`). What cannot be attributed to a container is `unattributed`: unknown, not idle.
"""

import math
import re
from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum

from gpuwise.collect import catalogue as c
from gpuwise.collect.attribution.allocation import Container, Holders
from gpuwise.collect.attribution.containers import OwnerOf
from gpuwise.collect.metric import Metric
from gpuwise.collect.reading import Device, Reading

_COMPUTE_SLICES = re.compile(r"^(\d+)g\.")


class Method(StrEnum):
    """How a part was determined."""

    WHOLE = "whole"
    SM_TIME = "sm_time"
    PROCESS_MEMORY = "process_memory"
    INSTANCE_SM_TIME = "instance_sm_time"
    UNATTRIBUTED = "unattributed"


@dataclass(frozen=True, slots=True)
class Owner:
    """The container that a part of a device belongs to.

    Attributes:
        device: the device; for a card's power under MIG, the instance of the container.
        container: the container, None for the unattributed part.
        method: how the part was determined.
    """

    device: Device
    container: Container | None
    method: Method

    def __hash__(self) -> int:
        """The hash of what almost always differs; that of every field of the device takes three times as long."""
        return hash((self.device.uuid, self.container))


@dataclass(frozen=True, slots=True)
class Part:
    """The value of one metric that belongs to one owner."""

    owner: Owner
    metric: Metric
    value: float


@dataclass(frozen=True, slots=True)
class Shares:
    """How a quantity of a device is split.

    Attributes:
        of: share of each known owner, 0 to 1; what remains, at least 0, is unattributed.
        rest: the owner of the unattributed remainder.
    """

    of: Mapping[Owner, float]
    rest: Owner

    def split(self, total: float) -> dict[Owner, float]:
        """Split a total; the parts, including the unattributed one, sum to it."""
        parts = {owner: total * share for owner, share in self.of.items()}
        rest = max(0.0, total - math.fsum(parts.values()))
        sole = len(parts) == 1 and next(iter(self.of.values())) == 1.0
        return parts if sole else parts | {self.rest: rest}


def by_weight(weights: Mapping[Owner, float], rest: Owner, *, unowned: float, total: float | None = None) -> Shares:
    """Shares in proportion to weights.

    An owner with weight 0 gets a part of 0 only if the unattributed weight is 0 too: unattributed work may be that
    owner's. If all weights are 0, the split is unknown, unless the total is 0 as well.

    Args:
        weights: of each owner, 0 or more.
        rest: the owner of the unattributed remainder.
        unowned: weight that belongs to no known owner.
        total: the quantity to split, None if it is not known to be 0.
    """
    whole = math.fsum(weights.values()) + unowned
    if whole <= 0.0:
        return Shares(dict.fromkeys(weights, 0.0) if total == 0.0 else {}, rest)
    shares = {owner: weight / whole for owner, weight in weights.items()}
    return Shares({owner: share for owner, share in shares.items() if share > 0.0 or unowned == 0.0}, rest)


def parts(readings: Sequence[Reading], holders: Holders, owner_of: OwnerOf) -> Iterator[Part]:
    """The containers' parts of activity, memory and power of all devices.

    Args:
        readings: of the cards and of their MIG instances.
        holders: the containers of each device.
        owner_of: maps a process to its container.
    """
    for reading in readings:
        containers = holders.get(reading.device.uuid, ())
        for metric, part in ((c.UTILIZATION, c.PART_UTILIZATION), (c.SM_ACTIVITY, c.PART_SM_ACTIVITY)):
            total = reading.value(metric)
            if total is not None:
                yield from _split(by_sm_time(reading, containers, owner_of, total=total), part, total)
        used = reading.value(c.MEMORY_USED)
        if used is not None and not reading.value(c.MIG_MODE):  # in MIG mode, the instances account for the memory
            yield from _split(_by_memory(reading, containers, owner_of, used), c.PART_MEMORY, used)
    for card, instances in by_card(readings):
        watts = card.value(c.POWER)
        if watts is not None:
            yield from _split(board_shares(card, instances, holders, owner_of), c.PART_POWER, watts)


def by_card(readings: Iterable[Reading]) -> Iterator[tuple[Reading, list[Reading]]]:
    """Each card with its MIG instances."""
    instances: dict[str, list[Reading]] = defaultdict(list)
    cards = []
    for reading in readings:
        if reading.device.mig is None:
            cards.append(reading)
        else:
            instances[reading.device.card_uuid].append(reading)
    return ((card, instances[card.device.uuid]) for card in cards)


def board_shares(card: Reading, instances: Sequence[Reading], holders: Holders, owner_of: OwnerOf) -> Shares:
    """How a card's power and energy are split: among its containers, or those of its MIG instances."""
    if not card.value(c.MIG_MODE):
        return by_sm_time(card, holders.get(card.device.uuid, ()), owner_of)
    rest = Owner(card.device, None, Method.UNATTRIBUTED)
    weights: dict[Owner, float] = {}
    unowned = 0.0
    for instance in instances:
        activity, slices = instance.value(c.SM_ACTIVITY), _slices(instance.device)
        if activity is None or slices is None:
            return Shares({}, rest)  # the work of one instance is unknown, so every share is unknown
        containers = holders.get(instance.device.uuid, ())
        if len(containers) == 1:
            weights[Owner(instance.device, containers[0], Method.INSTANCE_SM_TIME)] = activity * slices
        else:
            unowned += activity * slices
    return by_weight(weights, rest, unowned=unowned)


def by_sm_time(
    reading: Reading, containers: Sequence[Container], owner_of: OwnerOf, *, total: float | None = None
) -> Shares:
    """How a device is split by the SM time of its processes; a device with one container is not split.

    Args:
        reading: of the device.
        containers: those that the device is allocated to.
        owner_of: maps a process to its container.
        total: the quantity to split; if it is 0, each part is 0.
    """
    rest = Owner(reading.device, None, Method.UNATTRIBUTED)
    if len(containers) <= 1:
        return _whole(reading.device, containers, rest)
    if reading.sm_time is None:
        return Shares({}, rest)
    return _by_process(reading.sm_time, containers, owner_of, rest, Method.SM_TIME, total=total)


def _by_memory(reading: Reading, containers: Sequence[Container], owner_of: OwnerOf, used: float) -> Shares:
    rest = Owner(reading.device, None, Method.UNATTRIBUTED)
    if len(containers) <= 1:
        return _whole(reading.device, containers, rest)
    known = {one.pid: one.memory_bytes for one in reading.processes or () if one.memory_bytes is not None}
    if reading.processes is None or len(known) < len(reading.processes) or used <= 0.0:
        return Shares({}, rest)
    shares = _by_process(known, containers, owner_of, rest, Method.PROCESS_MEMORY, total=used)
    # Scale to the used memory that the device reports: part of it is the driver's and belongs to no process.
    scale = min(1.0, math.fsum(known.values()) / used)
    return Shares({owner: share * scale for owner, share in shares.of.items()}, rest)


def _whole(device: Device, containers: Sequence[Container], rest: Owner) -> Shares:
    return Shares({Owner(device, one, Method.WHOLE): 1.0 for one in containers}, rest)


def _by_process(
    weights: Mapping[int, float],
    containers: Sequence[Container],
    owner_of: OwnerOf,
    rest: Owner,
    method: Method,
    *,
    total: float | None,
) -> Shares:
    owners = {one: Owner(rest.device, one, method) for one in containers}
    found = dict.fromkeys(owners.values(), 0.0)
    unowned = 0.0
    for pid, weight in weights.items():
        container = owner_of(pid) if weight > 0.0 else None
        owner = None if container is None else owners.get(container)
        if owner is None:
            unowned += weight
        else:
            found[owner] += weight
    return by_weight(found, rest, unowned=unowned, total=total)


def _slices(device: Device) -> int | None:
    found = _COMPUTE_SLICES.match(device.mig.profile) if device.mig else None
    return int(found[1]) if found else None


def _split(shares: Shares, metric: Metric, total: float) -> Iterator[Part]:
    return (Part(owner, metric, value) for owner, value in shares.split(total).items())
