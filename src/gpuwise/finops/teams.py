"""What belongs to one team, by the tags that the bill is divided by."""

from collections import defaultdict
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


def every_team(fleet: Inventory, tags: Tags) -> dict[str, Members]:
    """Find what belongs to each team that a workload or a namespace names, by its name.

    Args:
        fleet: the inventory.
        tags: which labels name a team.
    """
    spaces = fleet.namespaces
    workloads: defaultdict[str | None, list[Workload]] = defaultdict(list)
    left: defaultdict[str | None, list[str]] = defaultdict(list)
    for one in fleet.workloads:
        workloads[owner_of(one.ref, one, spaces.get(one.ref.namespace), tags).team].append(one)
    for name, space in spaces.items():
        left[owner_of(deleted_ref(name), None, space, tags).team].append(name)
    names = sorted(name for name in workloads.keys() | left.keys() if name is not None)
    return {name: Members(workloads[name], left[name]) for name in names}


def members_of(fleet: Inventory, team: str, tags: Tags) -> Members:
    """Find what belongs to a team.

    Args:
        fleet: the inventory.
        team: name of the team.
        tags: which labels name it.

    Raises:
        InputError: no workload and no namespace names it.
    """
    every = every_team(fleet, tags)
    if team not in every:
        names = sorted(every)
        more = f" and {len(names) - _SHOWN} more" if len(names) > _SHOWN else ""
        hint = f"teams are {', '.join(map(repr, names[:_SHOWN]))}{more}" if names else "no label names a team"
        raise InputError(f"--team: nothing in the cluster belongs to a team {team!r}", hint=hint)
    return every[team]
