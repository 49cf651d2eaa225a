"""The node on which a pod that waits fits now, or on which the fewest pods have to move for it."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np

from gpuwise.recommend.engines.node_underutilised.nodes import Nodes, Placement, PodShape
from gpuwise.recommend.engines.node_underutilised.policy import Move

_MOST_HOSTS = 200
"""Nodes for which moves are sought, those with the most free GPUs first: at most 0.2 s for a pod."""


@dataclass(frozen=True, slots=True)
class Space:
    """Where a pod fits.

    Attributes:
        node: index of the node.
        moves: pods that leave it first, in order; none if the pod fits now.
    """

    node: int
    moves: tuple[Move, ...] = ()


def space_for(empty: Nodes, pods: Sequence[PodShape], at: Sequence[Placement], waiting: PodShape) -> Space | None:
    """Find the node on which a pod fits now, the fullest of these; or that from which the fewest pods have to leave.

    The pods that leave go to nodes on which they fit now, so that no other pod moves. For each node the pods leave the
    largest first, and those that did not have to leave stay: few moves, not always the fewest.

    Args:
        empty: the nodes without the pods that may move.
        pods: these pods.
        at: their places.
        waiting: the pod that waits.

    Returns:
        None if there is no such node.
    """
    left = empty.copy()
    for pod, place in zip(pods, at, strict=True):
        left.take(pod, place)
    free = left.gpu.sum(axis=1)
    now = np.flatnonzero(left.fit(waiting))
    if len(now):
        return Space(int(now[np.argmin(free[now])]))
    hosts = np.flatnonzero(empty.fit(waiting))
    hosts = hosts[np.argsort(-free[hosts], kind="stable")][:_MOST_HOSTS]
    found = [one for host in hosts.tolist() if (one := _cleared(left, pods, at, waiting, host)) is not None]
    return min(found, key=lambda one: (len(one.moves), sum(pods[move.pod].milli for move in one.moves)), default=None)


def _cleared(
    now: Nodes, pods: Sequence[PodShape], at: Sequence[Placement], waiting: PodShape, host: int
) -> Space | None:
    """The moves of pods off a node until a pod fits there; None if they find no other places."""
    left, moves = now.copy(), list[Move]()
    here = [number for number, place in enumerate(at) if place.node == host]
    for number in sorted(here, key=lambda one: (-pods[one].milli, -sum(pods[one].other), one)):
        if left.fit(waiting)[host]:
            break
        to = _elsewhere(left, pods[number], host)
        if to is not None:
            left.give(pods[number], at[number])
            left.take(pods[number], to)
            moves.append(Move(number, to))
    if not left.fit(waiting)[host]:
        return None
    for move in list(moves):
        left.take(pods[move.pod], at[move.pod])
        if left.fit(waiting)[host]:
            moves.remove(move)
        else:
            left.give(pods[move.pod], at[move.pod])
    return Space(host, tuple(moves))


def _elsewhere(left: Nodes, pod: PodShape, host: int) -> Placement | None:
    """The fullest other node on which a pod fits."""
    fits = left.fit(pod)
    fits[host] = False
    nodes = np.flatnonzero(fits)
    if not len(nodes):
        return None
    node = int(nodes[np.argmin(left.gpu[nodes].sum(axis=1))])
    return Placement(node, tuple(_devices(left, pod, node)))


def _devices(left: Nodes, pod: PodShape, node: int) -> Iterator[int]:
    fitting = np.flatnonzero(left.gpu[node] >= max(pod.gpu_milli, 1))
    return (int(gpu) for gpu in fitting[: pod.gpus])
