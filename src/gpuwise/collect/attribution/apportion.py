"""Cuts what is measured of a device into the parts of the containers on it; the parts sum to the device.

The method stands beside each part. A container that holds a device alone has all of it (`whole`). Where several do,
activity, power and energy go by how long each one's processes had the SMs (`sm_time`), memory by what each one's
processes have (`process_memory`), and a card's power by its MIG instances' activity times their slices
(`instance_sm_time`). What cannot be given to anybody is `unattributed`: unknown, not idle.
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
    """How a part was found."""

    WHOLE = "whole"
    SM_TIME = "sm_time"
    PROCESS_MEMORY = "process_memory"
    INSTANCE_SM_TIME = "instance_sm_time"
    UNATTRIBUTED = "unattributed"


@dataclass(frozen=True, slots=True)
class Owner:
    """Whose a part of which device is.

    Attributes:
        device: which; under MIG the instance, for what of its card's power is its holder's.
        container: whose, None for what is nobody's.
        method: how that was found.
    """

    device: Device
    container: Container | None
    method: Method


@dataclass(frozen=True, slots=True)
class Part:
    """One owner's part of one metric."""

    owner: Owner
    metric: Metric
    value: float


@dataclass(frozen=True, slots=True)
class Shares:
    """How a quantity of a device is cut.

    Attributes:
        of: share of each owner that is known, 0 to 1; the rest, at least 0, is nobody's.
        rest: the owner that stands for nobody.
    """

    of: Mapping[Owner, float]
    rest: Owner

    def cut(self, total: float) -> dict[Owner, float]:
        """The parts of a total, the rest's among them; they sum to it."""
        parts = {owner: total * share for owner, share in self.of.items()}
        rest = max(0.0, total - math.fsum(parts.values()))
        sole = len(parts) == 1 and next(iter(self.of.values())) == 1.0
        return parts if sole else parts | {self.rest: rest}


def by_weight(weights: Mapping[Owner, float], rest: Owner, *, nobodys: float, total: float | None = None) -> Shares:
    """Shares in proportion to weights.

    An owner with weight 0 has a part of 0 only if nobody's weight is 0, too: what nobody is known to have done, it may
    have done. If all weights are 0, nothing says whose the total is, unless that is 0 as well.

    Args:
        weights: of each owner, 0 or more.
        rest: stands for nobody.
        nobodys: weight that is no owner's.
        total: what is cut, where it is known to be 0 or not.
    """
    whole = math.fsum(weights.values()) + nobodys
    if whole <= 0.0:
        return Shares(dict.fromkeys(weights, 0.0) if total == 0.0 else {}, rest)
    return Shares({owner: w / whole for owner, w in weights.items() if w > 0.0 or nobodys == 0.0}, rest)


def parts(readings: Sequence[Reading], holders: Holders, owner_of: OwnerOf) -> Iterator[Part]:
    """The parts of activity, memory and power of all devices.

    Args:
        readings: of the cards and of their MIG instances.
        holders: who holds each device.
        owner_of: tells processes' containers.
    """
    for reading in readings:
        held = holders.get(reading.device.uuid, ())
        for metric, part in ((c.UTILIZATION, c.PART_UTILIZATION), (c.SM_ACTIVITY, c.PART_SM_ACTIVITY)):
            total = reading.value(metric)
            if total is not None:
                yield from _cut(by_sm_time(reading, held, owner_of, total=total), part, total)
        used = reading.value(c.MEMORY_USED)
        if used is not None and not reading.value(c.MIG_MODE):  # a cut card's memory is its instances'
            yield from _cut(_by_memory(reading, held, owner_of, used), c.PART_MEMORY, used)
    for card, instances in by_card(readings):
        watts = card.value(c.POWER)
        if watts is not None:
            yield from _cut(of_board(card, instances, holders, owner_of), c.PART_POWER, watts)


def by_card(readings: Iterable[Reading]) -> Iterator[tuple[Reading, list[Reading]]]:
    """Each card, with its MIG instances."""
    instances: dict[str, list[Reading]] = defaultdict(list)
    cards = []
    for reading in readings:
        if reading.device.mig is None:
            cards.append(reading)
        else:
            instances[reading.device.card_uuid].append(reading)
    return ((card, instances[card.device.uuid]) for card in cards)


def of_board(card: Reading, instances: Sequence[Reading], holders: Holders, owner_of: OwnerOf) -> Shares:
    """How a card's power and energy are cut: by its holders, or by its instances' holders."""
    if not card.value(c.MIG_MODE):
        return by_sm_time(card, holders.get(card.device.uuid, ()), owner_of)
    rest = Owner(card.device, None, Method.UNATTRIBUTED)
    weights: dict[Owner, float] = {}
    nobodys = 0.0
    for instance in instances:
        activity, slices = instance.value(c.SM_ACTIVITY), _slices(instance.device)
        if activity is None or slices is None:
            return Shares({}, rest)  # one instance's work is unknown, and so is everybody's share
        held = holders.get(instance.device.uuid, ())
        if len(held) == 1:
            weights[Owner(instance.device, held[0], Method.INSTANCE_SM_TIME)] = activity * slices
        else:
            nobodys += activity * slices
    return by_weight(weights, rest, nobodys=nobodys)


def by_sm_time(reading: Reading, held: Sequence[Container], owner_of: OwnerOf, *, total: float | None = None) -> Shares:
    """How a device is cut by its processes' SM time; one that is held by one container is not cut.

    Args:
        reading: of the device.
        held: its holders.
        owner_of: tells processes' containers.
        total: what is cut, where a 0 of it is everybody's 0.
    """
    rest = Owner(reading.device, None, Method.UNATTRIBUTED)
    if len(held) <= 1:
        return _whole(reading.device, held, rest)
    if reading.sm_time is None:
        return Shares({}, rest)
    return _by_process(reading.sm_time, held, owner_of, rest, Method.SM_TIME, total=total)


def _by_memory(reading: Reading, held: Sequence[Container], owner_of: OwnerOf, used: float) -> Shares:
    rest = Owner(reading.device, None, Method.UNATTRIBUTED)
    if len(held) <= 1:
        return _whole(reading.device, held, rest)
    known = {one.pid: one.memory_bytes for one in reading.processes or () if one.memory_bytes is not None}
    if reading.processes is None or len(known) < len(reading.processes) or used <= 0.0:
        return Shares({}, rest)
    shares = _by_process(known, held, owner_of, rest, Method.PROCESS_MEMORY, total=used)
    # Against what the device says is used, of which the driver has a part that is no process'.
    scale = min(1.0, math.fsum(known.values()) / used)
    return Shares({owner: share * scale for owner, share in shares.of.items()}, rest)


def _whole(device: Device, held: Sequence[Container], rest: Owner) -> Shares:
    return Shares({Owner(device, one, Method.WHOLE): 1.0 for one in held}, rest)


def _by_process(
    weights: Mapping[int, float],
    held: Sequence[Container],
    owner_of: OwnerOf,
    rest: Owner,
    method: Method,
    *,
    total: float | None,
) -> Shares:
    owners = {one: Owner(rest.device, one, method) for one in held}
    found = dict.fromkeys(owners.values(), 0.0)
    nobodys = 0.0
    for pid, weight in weights.items():
        container = owner_of(pid) if weight > 0.0 else None
        owner = None if container is None else owners.get(container)
        if owner is None:
            nobodys += weight
        else:
            found[owner] += weight
    return by_weight(found, rest, nobodys=nobodys, total=total)


def _slices(device: Device) -> int | None:
    found = _COMPUTE_SLICES.match(device.mig.profile) if device.mig else None
    return int(found[1]) if found else None


def _cut(shares: Shares, metric: Metric, total: float) -> Iterator[Part]:
    return (Part(owner, metric, value) for owner, value in shares.cut(total).items())
