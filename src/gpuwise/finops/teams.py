"""What belongs to one team, by the tags that the bill is divided by."""

from collections.abc import Sequence
from dataclasses import dataclass

from gpuwise.model.errors import InputError
from gpuwise.model.inventory import Inventory, Workload, deleted_ref
from gpuwise.model.tagging import Tags, owner_of

_SHOWN = 8


@dataclass(frozen=True, slots=True)
class Members:
    """What belongs to a team.

    Attributes:
        workloads: of the inventory.
        namespaces: whose deleted workloads are the team's.
    """

    workloads: Sequence[Workload]
    namespaces: Sequence[str]


def members_of(fleet: Inventory, team: str, tags: Tags) -> Members:
    """Find what belongs to a team.

    Args:
        fleet: the inventory.
        team: name of the team.
        tags: which labels name it.

    Raises:
        InputError: no workload and no namespace names it.
    """
    spaces = fleet.namespaces
    owners = [(one, owner_of(one.ref, one, spaces.get(one.ref.namespace), tags).team) for one in fleet.workloads]
    left = {name: owner_of(deleted_ref(name), None, space, tags).team for name, space in spaces.items()}
    found = Members([one for one, its in owners if its == team], [name for name, its in left.items() if its == team])
    if not found.workloads and not found.namespaces:
        names = sorted({its for its in (*(its for _, its in owners), *left.values()) if its is not None})
        more = f" and {len(names) - _SHOWN} more" if len(names) > _SHOWN else ""
        hint = f"teams are {', '.join(map(repr, names[:_SHOWN]))}{more}" if names else "no label names a team"
        raise InputError(f"--team: nothing in the cluster belongs to a team {team!r}", hint=hint)
    return found
