"""Chooses the nodes to free and the moves of their pods: every pod moves at most once, to a node that is kept."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace

import numpy as np

from gpuwise.recommend.engines.node_underutilised.bound import LeastNodes, least_nodes
from gpuwise.recommend.engines.node_underutilised.nodes import Bools, Floats, Nodes, Placement, PodShape
from gpuwise.recommend.engines.node_underutilised.repacking import Repacking

# Share of nodes kept in addition to the bound at first.
_MARGIN = 0.02
# Number of unsuccessful steps: at first, before one more node is kept; later, before a closed node is opened again.
_PATIENCE_FIRST, _PATIENCE = 100, 400


@dataclass(frozen=True, slots=True)
class SearchSettings:
    """How long and where the search looks."""

    steps: int = 40_000
    """Number of pods that are ejected or placed again: about 25 s for 5,000 pods on 1,200 nodes. It is no time, so that
    the plan does not depend on the machine."""

    seed: int = 0
    """Of the random choices: a search that continues from an earlier plan takes another one."""


@dataclass(frozen=True, slots=True)
class Move:
    """The move of one pod to another node.

    Attributes:
        pod: index of the pod.
        to: its new place.
    """

    pod: int
    to: Placement


@dataclass(frozen=True, slots=True)
class Kept:
    """What the nodes that may be closed are worth, and which of them were closed before.

    Attributes:
        stay: nodes that are never closed, shape (n,).
        worth: what closing each node saves, shape (n,).
        earlier: the place to which an earlier plan moved a pod, by pod; without GPUs it is any of the node's. Empty if
            there is no such plan.
    """

    stay: Bools
    worth: Floats
    earlier: Mapping[int, Placement] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Consolidation:
    """A plan for some nodes.

    Attributes:
        moves: in an order in which each pod fits at its time.
        open: nodes that are still needed, shape (n,).
        least: no plan needs fewer nodes.
    """

    moves: list[Move]
    open: Bools
    least: float


def consolidate(
    empty: Nodes,
    pods: Sequence[PodShape],
    at: Sequence[Placement],
    kept: Kept | None = None,
    settings: SearchSettings | None = None,
) -> Consolidation:
    """Choose nodes to free, and the moves that free them.

    A linear program bounds the number of nodes of each kind from below. The fullest nodes, 2 % more than the bound, are
    kept, and the pods of all others are placed on them (`Repacking`); if that fails, another node is kept. Or the
    search starts from an earlier plan. Then further nodes are closed one by one, the emptiest first, while their pods
    find places.

    Args:
        empty: the nodes without any pods.
        pods: the pods.
        at: the place of each pod.
        kept: the nodes that stay, and the worth of the others; None if all may be closed and are worth the same.
        settings: limits of the search.
    """
    settings = settings or SearchSettings()
    kept = kept or Kept(np.zeros(len(empty.cpu), dtype=np.bool_), np.ones(len(empty.cpu)))
    if not pods:
        return Consolidation([], kept.stay, float(kept.stay.sum()))
    fleet = Repacking(empty, pods, at, stay=kept.stay, seed=settings.seed)
    least = least_nodes(_with_homes(empty, pods, at), pods, kept.stay)
    best = nothing = Consolidation([], fleet.open.copy(), least.nodes)
    for earlier in [kept.earlier, {}] if kept.earlier else [{}]:
        fleet.mark()
        begun = _begun(fleet, least, replace(kept, earlier=earlier), settings)
        moves = _ordered(fleet, empty, pods, at) if begun else []
        if begun and kept.worth[fleet.open].sum() < kept.worth[nothing.open].sum():
            best = Consolidation(moves, fleet.open.copy(), least.nodes)
            break
        fleet.back()
    for patience in (0, _PATIENCE):  # at first only what needs no search, so that a small limit suffices for it
        best = _closed_one_by_one(fleet, best, lambda: _ordered(fleet, empty, pods, at), kept, settings, patience)
    return best


def _closed_one_by_one(
    fleet: Repacking,
    best: Consolidation,
    ordered: Callable[[], list[Move]],
    kept: Kept,
    settings: SearchSettings,
    patience: int,
) -> Consolidation:
    """Close further nodes while their pods find places, perhaps with a smaller node instead; the emptiest first."""
    untried = ~kept.stay
    # A later run tries other nodes first: within its steps it cannot try all, and the emptiest were tried before.
    order = 1 + np.random.default_rng(settings.seed).random(len(kept.worth)) * (settings.seed > 0)
    while fleet.steps < settings.steps and (fleet.open & untried).any() and fleet.open.sum() > best.least:
        fleet.mark()
        node = int(np.argmin(np.where(fleet.open & untried, fleet.used() * order, np.inf)))
        untried[node] = False
        fleet.close([node])
        settled = fleet.settle(patience)
        if not settled and (cheaper := kept.worth < kept.worth[node]).any():
            settled = fleet.reopen(cheaper) and fleet.settle(patience)
        fewer = ordered() if settled else []
        if fleet.waits or kept.worth[fleet.open].sum() >= kept.worth[best.open].sum():
            fleet.back()
        else:
            best = Consolidation(fewer, fleet.open.copy(), best.least)
    return best


def _with_homes(empty: Nodes, pods: Sequence[PodShape], at: Sequence[Placement]) -> Nodes:
    """The nodes, each of which accepts the pods that are on it, although a cordoned node would not take them again."""
    if empty.accepts is None:
        return empty
    accepts = empty.accepts.copy()
    accepts[[pod.group for pod in pods], [place.node for place in at]] = True
    return replace(empty, accepts=accepts)


def _begun(fleet: Repacking, least: LeastNodes, kept: Kept, settings: SearchSettings) -> bool:
    """Close nodes as an earlier plan did, or all but the fullest; false if their pods find no places."""
    if kept.earlier:
        fleet.adopt(kept.earlier)
        fleet.close(np.flatnonzero(fleet.open & ~kept.stay & fleet.vacant()).tolist())
        return fleet.settle(_PATIENCE_FIRST)
    fleet.close(np.flatnonzero(fleet.open & ~kept.stay & ~_fullest(fleet.used(), least)).tolist())
    while not fleet.settle(min(_PATIENCE_FIRST, max(settings.steps - fleet.steps, 0))):
        if not fleet.reopen():
            return False
    return True


def _ordered(fleet: Repacking, empty: Nodes, pods: Sequence[PodShape], before: Sequence[Placement]) -> list[Move]:
    """Moves in an order in which each pod fits at its time; pods that would need a temporary place do not move."""
    fleet.go_home()
    left = empty.copy()
    for pod, place in zip(pods, before, strict=True):
        left.take(pod, place)
    moves: list[Move] = []
    blocked = [number for number, (old, new) in enumerate(zip(before, fleet.at, strict=True)) if old != new]
    waiting: list[int] = []
    while len(blocked) != len(waiting):
        waiting, blocked = blocked, []
        for number in waiting:
            to = fleet.at[number]
            if left.takes(pods[number], to):
                left.give(pods[number], before[number])
                left.take(pods[number], to)
                moves.append(Move(number, to))
            else:
                blocked.append(number)
    fleet.send_home(blocked)
    return moves


def _fullest(used: Floats, least: LeastNodes) -> Bools:
    """The fullest nodes of each kind, as many as the bound requires plus a margin."""
    kept = np.zeros(len(used), dtype=np.bool_)
    for kind, wanted in enumerate(least.by_kind):
        members = np.flatnonzero(least.kind == kind)
        many = int(np.ceil(wanted * (1 + _MARGIN) - 1e-6))
        kept[members[np.argsort(-used[members], kind="stable")[:many]]] = True
    return kept
