"""Chooses the nodes to free and the moves of their pods: every pod moves at most once, to a node that is kept."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace

import numpy as np

from gpuwise.recommend.engines.node_underutilised.bound import LeastNodes, least_nodes
from gpuwise.recommend.engines.node_underutilised.nodes import Bools, Floats, Nodes, Placement, PodShape
from gpuwise.recommend.engines.node_underutilised.repacking import Repacking

# Number of steps without progress before a closed node is opened again.
_PATIENCE = 400
# Of the later runs, each second one starts over; the others continue from the earlier plan.
_STARTS_OVER = 2
# Share of the nodes above the bound that are closed at once at first.
_FIRST_SHARE = 0.5


@dataclass(frozen=True, slots=True)
class _Start:
    """How a search begins.

    Attributes:
        margin: share of nodes kept in addition to the bound.
        patience: number of steps without progress before one more node is kept.
    """

    margin: float
    patience: int


# With the margin, most fleets are settled in a tenth of the steps, and fewer pods move. Without it some fleets end with
# fewer nodes (gpuspec33 677 instead of 686), others with more (gpuspec10 443 instead of 442).
_FIRST, _LATER = _Start(0.02, 100), _Start(0.0, 400)


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
    kept, and the pods of all others are placed on them (`Repacking`); while that fails, another node is kept. Then
    further nodes are closed, half of those above the bound at once, then half of these, and at last one by one; the
    emptiest first, while their pods find places.

    Of the runs with an earlier plan, each second one (by the seed) continues from it. The others start over and without
    the 2 %, and return the earlier plan unless they free more with no more moves.

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
    least = least_nodes(_with_homes(empty, pods, at), pods, kept.stay)
    fleet = Repacking(empty, pods, at, stay=kept.stay, seed=settings.seed)
    search = _Search(fleet, lambda: _ordered(fleet, empty, pods, at), kept, settings)
    nothing = Consolidation([], fleet.open.copy(), least.nodes)
    if not kept.earlier:
        return _continued(search, _begun(search, nothing, least, _FIRST) or nothing)
    found = _begun(search, nothing, least, None)
    if found is None or settings.seed % _STARTS_OVER == 0:
        return _continued(search, found or _begun(search, nothing, least, _LATER) or nothing)
    fleet.back()  # to the mark of the earlier plan, so to the pods' present places
    restarted = _continued(search, _begun(search, nothing, least, _LATER) or nothing)
    frees_more = kept.worth[restarted.open].sum() < kept.worth[found.open].sum()
    return restarted if frees_more and len(restarted.moves) <= len(found.moves) else found


@dataclass(frozen=True, slots=True)
class _Search:
    """What the steps of the search share.

    Attributes:
        fleet: the places of the pods.
        ordered: the moves, in an order in which each pod fits at its time.
        kept: the nodes that stay, and the worth of the others.
        settings: limits of the search.
    """

    fleet: Repacking
    ordered: Callable[[], list[Move]]
    kept: Kept
    settings: SearchSettings

    def goes_on(self, best: Consolidation) -> bool:
        """Whether steps are left, and fewer nodes may suffice."""
        return self.fleet.steps < self.settings.steps and int(self.fleet.open.sum()) > best.least

    def better(self, best: Consolidation, *, settled: bool) -> Consolidation | None:
        """The plan as it is now; None, with all changes undone, if it is no better than the best one."""
        moves = self.ordered() if settled else []
        worth = self.kept.worth
        if self.fleet.waits or worth[self.fleet.open].sum() >= worth[best.open].sum():
            self.fleet.back()
            return None
        return Consolidation(moves, self.fleet.open.copy(), best.least)

    def emptiest_first(self) -> Floats:
        """Size of the pods on each node; a later run tries other nodes first, because the emptiest were tried."""
        noise = np.random.default_rng(self.settings.seed).random(len(self.kept.worth)) * (self.settings.seed > 0)
        return np.asarray(self.fleet.used() * (1 + noise))


def _closed_together(search: _Search, best: Consolidation) -> Consolidation:
    """Close as many nodes at once as the bound allows, then half as many of what is left, and so on.

    The pods of many nodes find new places more easily than those of one, whose neighbours are full.
    """
    fleet, share = search.fleet, _FIRST_SHARE
    while search.goes_on(best):
        many = int(np.ceil((fleet.open.sum() - best.least) * share))
        fleet.mark()
        fleet.close(_emptiest(search, many))
        settled = _settled(search, _PATIENCE, fewer_than=int(best.open.sum()))
        found = search.better(best, settled=settled)
        if found is None and many == 1:
            break
        if found is None:
            share /= 2
        else:
            best = found
    return best


def _emptiest(search: _Search, many: int) -> list[int]:
    """The emptiest nodes that may be closed."""
    used, may = search.emptiest_first(), np.flatnonzero(search.fleet.open & ~search.kept.stay)
    nodes: list[int] = may[np.argsort(used[may], kind="stable")[:many]].tolist()
    return nodes


def _settled(search: _Search, patience: int, fewer_than: int) -> bool:
    """Whether all pods find places, after opening nodes again where needed, on fewer nodes than a number."""
    fleet = search.fleet
    while not fleet.settle(min(patience, max(search.settings.steps - fleet.steps, 0))):
        if int(fleet.open.sum()) >= fewer_than or not fleet.reopen():
            return False
    return True


def _closed_one_by_one(search: _Search, best: Consolidation, patience: int) -> Consolidation:
    """Close further nodes while their pods find places, perhaps with a smaller node instead; the emptiest first."""
    fleet, worth = search.fleet, search.kept.worth
    untried = ~search.kept.stay
    while search.goes_on(best) and (fleet.open & untried).any():
        fleet.mark()
        node = int(np.argmin(np.where(fleet.open & untried, search.emptiest_first(), np.inf)))
        untried[node] = False
        fleet.close([node])
        settled = fleet.settle(patience)
        if not settled and (cheaper := worth < worth[node]).any():
            settled = fleet.reopen(cheaper) and fleet.settle(patience)
        best = search.better(best, settled=settled) or best
    return best


def _with_homes(empty: Nodes, pods: Sequence[PodShape], at: Sequence[Placement]) -> Nodes:
    """The nodes, each of which accepts the pods that are on it, although a cordoned node would not take them again."""
    if empty.accepts is None:
        return empty
    accepts = empty.accepts.copy()
    accepts[[pod.group for pod in pods], [place.node for place in at]] = True
    return replace(empty, accepts=accepts)


def _begun(search: "_Search", nothing: Consolidation, least: LeastNodes, start: _Start | None) -> Consolidation | None:
    """Close all nodes but the fullest, or as the earlier plan did; None, with all undone, if that frees no node.

    Args:
        search: the search.
        nothing: the plan without moves.
        least: the bound.
        start: how; None for the earlier plan.
    """
    fleet, kept = search.fleet, search.kept
    fleet.mark()
    if start is None:
        fleet.adopt(kept.earlier)
        fleet.close(np.flatnonzero(fleet.open & ~kept.stay & fleet.vacant()).tolist())
        return search.better(nothing, settled=fleet.settle(_PATIENCE))
    fleet.close(np.flatnonzero(fleet.open & ~kept.stay & ~_fullest(fleet.used(), least, start.margin)).tolist())
    return search.better(nothing, settled=_settled(search, start.patience, fewer_than=len(fleet.open)))


def _continued(search: "_Search", best: Consolidation) -> Consolidation:
    """Close further nodes of a plan."""
    best = _closed_one_by_one(search, best, 0)  # at first only what needs no search: a small limit suffices for it
    best = _closed_together(search, best)
    return _closed_one_by_one(search, best, _PATIENCE)


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


def _fullest(used: Floats, least: LeastNodes, margin: float) -> Bools:
    """The fullest nodes of each kind, as many as the bound requires plus a margin."""
    kept = np.zeros(len(used), dtype=np.bool_)
    for kind, wanted in enumerate(least.by_kind):
        members = np.flatnonzero(least.kind == kind)
        many = int(np.ceil(wanted * (1 + margin) - 1e-6))
        kept[members[np.argsort(-used[members], kind="stable")[:many]]] = True
    return kept
