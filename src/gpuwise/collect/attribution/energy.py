"""Energy of containers: the growth of a board's counter between two sweeps, split like its power and accumulated.

Law: the energy of all owners, including those that are gone, sums to the growth of the boards' counters.
"""

from collections.abc import Iterator, Sequence

from gpuwise.collect import catalogue as c
from gpuwise.collect.attribution.allocation import Container, Holders
from gpuwise.collect.attribution.apportion import Method, Owner, Part, board_shares, by_card
from gpuwise.collect.attribution.containers import OwnerOf
from gpuwise.collect.reading import Device, Reading

_Account = tuple[str, Container | None, Method]


class EnergyAccounts:
    """A counter per owner; the counter is dropped when the owner no longer has the device."""

    def __init__(self) -> None:
        self._last: dict[str, tuple[float, int]] = {}
        self._sweeps = 0
        self._accounts: dict[_Account, tuple[Owner, float]] = {}

    def add(self, readings: Sequence[Reading], holders: Holders, owner_of: OwnerOf) -> Iterator[Part]:
        """Account for the energy since the last sweep, and yield the counter of every current owner.

        Args:
            readings: of the cards and of their MIG instances.
            holders: the containers of each device.
            owner_of: maps a process to its container.
        """
        self._sweeps += 1
        for card, instances in by_card(readings):
            shares = board_shares(card, instances, holders, owner_of)
            grown, known = self._grown(card)
            for owner, joules in (shares.split(grown) if known else {shares.rest: grown}).items():
                self._credit(owner, joules)
        self._close({reading.device.uuid: reading.device for reading in readings}, holders)
        return (Part(owner, c.PART_ENERGY, joules) for owner, joules in self._accounts.values())

    def skip(self, readings: Sequence[Reading]) -> None:
        """The allocations are unknown: the energy until the next sweep that knows them is unattributed.

        Args:
            readings: of this sweep.
        """
        self._sweeps += 1
        for card, _ in by_card(readings):
            self._credit(Owner(card.device, None, Method.UNATTRIBUTED), self._grown(card)[0])

    def _grown(self, card: Reading) -> tuple[float, bool]:
        """Joules since the card was last read, and whether that was in the last sweep and by the same counter."""
        joules = card.value(c.ENERGY)
        if joules is None:
            return 0.0, False
        last, sweep = self._last.get(card.device.uuid, (joules, self._sweeps - 1))
        self._last[card.device.uuid] = joules, self._sweeps
        if joules < last:  # the driver reset the counter: its value is what was used since the reset
            return joules, False
        return joules - last, sweep == self._sweeps - 1

    def _credit(self, owner: Owner, joules: float) -> None:
        account = (owner.device.uuid, owner.container, owner.method)
        _, before = self._accounts.get(account, (owner, 0.0))
        self._accounts[account] = (owner, before + joules)

    def _close(self, devices: dict[str, Device], holders: Holders) -> None:
        for uuid, container, method in list(self._accounts):
            gone = uuid not in devices
            if gone or (container is not None and container not in holders.get(uuid, ())):
                del self._accounts[uuid, container, method]
