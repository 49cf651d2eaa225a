"""What applied changes are worth, and which of them the cluster still has.

A change is applied when its write was verified. It is realised only as long as the inventory shows it: a person may
have scaled the workload up again. `still_there` lists what shows each change. A change that the inventory cannot show
stays applied.
"""

from collections.abc import Callable, Iterable

from gpuwise.model.changes import MoveToOnDemand, MoveToSpot, Resize, ScaleTo
from gpuwise.model.command import Intent, Outcome, OutcomeStatus
from gpuwise.model.inventory import CapacityType, Inventory, Workload
from gpuwise.model.report import Action


def still_there(intent: Intent, outcome: Outcome | None, inventory: Inventory) -> bool:
    """Whether the inventory shows a change that was applied.

    An inventory that is older than the change does not show it: there was something to change.

    | change | shown by |
    |---|---|
    | `ScaleTo` | the number of replicas; a suspended Job and a stopped Notebook have 0 |
    | `Resize` | the request of the pod template |
    | `MoveToSpot` | all pods that have GPUs are on spot nodes; without such pods it stays applied |
    | `MoveToOnDemand` | the same with other nodes than spot nodes |

    These are all changes that gpuwise can write (`ENACTABLE`); the others are advice and are never applied by it.

    Args:
        intent: the change.
        outcome: its outcome.
        inventory: the fleet.
    """
    if outcome is None or outcome.status is not OutcomeStatus.APPLIED:
        return False
    workload = inventory.by_ref().get(intent.command.workload)
    if workload is None:
        return False
    match intent.command.change:
        case ScaleTo(replicas=replicas):
            return workload.replicas == replicas
        case Resize(proposed=proposed):
            return workload.request == proposed
        case MoveToSpot():
            return _all_on(workload, inventory, lambda kind: kind is CapacityType.SPOT)
        case MoveToOnDemand():
            return _all_on(workload, inventory, lambda kind: kind is not CapacityType.SPOT)
        case _:
            return False


def _all_on(workload: Workload, inventory: Inventory, chosen: Callable[[CapacityType | None], bool]) -> bool:
    """Whether all pods with GPUs are on nodes of the chosen capacity types: a fallback of a move saves nothing.

    Args:
        workload: the target of the change.
        inventory: the fleet.
        chosen: whether a capacity type is one that the change asks for.
    """
    nodes = [inventory.nodes.get(pod.node or "") for pod in workload.pods if pod.uses_node]
    return bool(nodes) and all(node is not None and chosen(node.capacity_type) for node in nodes)


def applied_usd_month(actions: Iterable[Action]) -> float:
    """Worth of the commands that were applied and not undone; without its recommendation a command counts as 0."""
    return sum(_standing(actions).values())


def realised_usd_month(actions: Iterable[Action]) -> float:
    """Of `applied_usd_month`, the worth of the changes that were seen in the cluster afterwards."""
    every = list(actions)
    verified = {action.intent.command.id for action in every if action.verified}
    return sum(usd for command_id, usd in _standing(every).items() if command_id in verified)


def _standing(actions: Iterable[Action]) -> dict[str, float]:
    """Worth of each command that was applied and not undone."""
    applied: dict[str, float] = {}
    undone: set[str] = set()
    for action in actions:
        if action.outcome is None:
            continue
        if action.outcome.status is OutcomeStatus.UNDONE:
            undone.add(action.outcome.command_id)
        elif action.outcome.status is OutcomeStatus.APPLIED and action.recommendation is not None:
            applied[action.outcome.command_id] = action.recommendation.saving.usd_month
    return {command_id: usd for command_id, usd in applied.items() if command_id not in undone}
