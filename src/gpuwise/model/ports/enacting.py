"""What carries out commands, and what it asks before and after."""

from collections.abc import Collection, Sequence
from typing import Protocol

from gpuwise.model.command import Command, Outcome, ServiceLevel
from gpuwise.model.ports.cluster import Object
from gpuwise.model.recommendation import Blocked


class Enactor(Protocol):
    """The only writer to workloads."""

    def enact(self, commands: Sequence[Command]) -> list[Outcome]:
        """Carry out each command once, or return why not; the intent is in the ledger before the effect."""
        ...

    def undo(self, command_id: str) -> Outcome:
        """Restore exactly the fields that a command changed, or refuse with the difference if they changed since."""
        ...

    def recover(self) -> list[Outcome]:
        """Settle the commands that a crash or a lost answer left open, from the state of their targets (I8, I31)."""
        ...

    def follow(self) -> list[Outcome]:
        """Check the effects that are being watched, and take back what fails its check (I13); the watches that ended.

        An effect is applied only if its pods show it, not by its object alone.
        """
        ...


class Leadership(Protocol):
    """Whether this process is the leader of its cluster."""

    def epoch(self) -> int:
        """The term of this process, if its lease is certain to outlast one request.

        Raises:
            NotLeader: it is not the leader, or the lease is about to expire.
        """
        ...


class Levels(Protocol):
    """Where service levels are measured."""

    def value(self, level: ServiceLevel) -> float | None:
        """The number now; None if it cannot be measured, which is never good news."""
        ...


class Fit(Protocol):
    """Looks for a node for a new pod."""

    def refusal(self, spec: Object, leaving: Collection[str]) -> str | None:
        """Why no node takes a pod of this spec now, None if one does or if it cannot be said.

        The pods with these uids end before it starts.

        Raises:
            ClusterError: nodes or pods could not be listed.
        """
        ...

    def over_quota(self, namespace: str, spec: Object, pods: Sequence[Object], ending: Collection[str]) -> str | None:
        """Which quota of the namespace would refuse a pod of this spec that replaces one of the pods, None if none.

        The pods with the uids `ending` end before it starts.

        Raises:
            Forbidden: the quotas may not be read.
            ClusterError: they could not be read.
        """
        ...


class Checker(Protocol):
    """Finds out by reads alone whether an enactor would refuse a command now."""

    def check(self, command: Command) -> Blocked | None:
        """The refusal, or None if the enactor would carry the command out."""
        ...
