"""The nodes that had a name one after another, and what was spent on each.

A name can be given again: to another card, another capacity type or another price. So the use under a name is divided
between its nodes by the times of the stays. The last node of a name has its key; what is known of earlier ones has
keys of its own.
"""

from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace

from gpuwise.finops.pools import overlap_s
from gpuwise.model.inventory import Node
from gpuwise.model.profile import DayUse, Stay
from gpuwise.model.usage import DAY_S


@dataclass(frozen=True)
class Lives:
    """The nodes of a period.

    Attributes:
        nodes: by key, also those that no longer exist.
        keys: keys by name, in order of time.
        cards: devices by the key of the node on which stays name them; of names in `renewed` alone.
        renewed: names whose use may be of several nodes: they had several, or the first was created in the period.
    """

    nodes: Mapping[str, Node]
    keys: Mapping[str, Sequence[str]]
    cards: Mapping[str, frozenset[str]]
    renewed: frozenset[str]

    @classmethod
    def of(cls, past: Iterable[Node], present: Iterable[Node], stays: Iterable[Stay], *, start_s: int) -> "Lives":
        """Find the nodes of each name.

        Args:
            past: nodes that no longer exist.
            present: nodes of the inventory.
            stays: of all workloads and of unallocated devices: a node existed at least until its last sample.
            start_s: start of the period.
        """
        named: defaultdict[str, list[Node]] = defaultdict(list)
        for node in sorted(past, key=_created):
            named[node.name].append(node)
        gone = frozenset(named)
        for node in present:
            named[node.name].append(node)
        renewed = frozenset(name for name, nodes in named.items() if len(nodes) > 1 or _created(nodes[0]) > start_s)
        by_name: defaultdict[str, list[Stay]] = defaultdict(list)
        for stay in stays if renewed or gone else ():
            if stay.node in renewed or stay.node in gone:
                by_name[stay.node or ""].append(stay)
        nodes: dict[str, Node] = {}
        keys: dict[str, list[str]] = {}
        cards: dict[str, frozenset[str]] = {}
        for name, lives in named.items():
            keys[name] = [*(f"{name} #{number}" for number in range(1, len(lives))), name]
            for index, (key, node) in enumerate(zip(keys[name], lives, strict=True)):
                end_s = _created(lives[index + 1]) if index + 1 < len(lives) else float("inf")
                nodes[key] = _until_last_sample(node, by_name.get(name, ()), end_s)
                on = (stay for stay in by_name.get(name, ()) if overlap_s(node, stay.start_s, stay.end_s) > 0)
                cards[key] = frozenset(stay.device_uuid for stay in on)
        return cls(nodes, keys, cards, renewed)

    def divided(self, days: tuple[DayUse, ...], stays: Sequence[Stay]) -> tuple[tuple[DayUse, ...], Sequence[Stay]]:
        """Return the use by day and the stays of a workload, with the key of the node as its name.

        What no stay shows, such as the time of a device without samples, is of the last node of the name.
        """
        names = self.renewed & {day.node for day in days}
        if not names:
            return days, stays
        placed = [(stay, self._key(stay) if stay.node in names else stay.node) for stay in stays]
        earlier = [(stay, key) for stay, key in placed if key is not None and key != stay.node]
        parts = (part for day in days for part in _parts(day, earlier))
        return tuple(parts), tuple(stay._replace(node=key) for stay, key in placed)

    def _key(self, stay: Stay) -> str:
        """The node on which a device was: the one that existed at the time, or the nearest.

        What ended before the first node of the name was created was spent on a node that nobody remembers, unless the
        card is one of the known node: its object was created again, and the machine is the same.
        """
        name = stay.node or ""
        keys = self.keys[name]
        first = self.nodes[keys[0]]
        if stay.end_s <= _created(first) and stay.device_uuid not in self.cards[keys[0]]:
            return f"an earlier {name}"
        _, key = max(
            enumerate(keys), key=lambda pair: (overlap_s(self.nodes[pair[1]], stay.start_s, stay.end_s), pair[0])
        )
        return key


def _created(node: Node) -> float:
    return float("-inf") if node.created_s is None else node.created_s


def _until_last_sample(node: Node, stays: Iterable[Stay], end_s: float) -> Node:
    """Return a node that is gone with its end: the last sample, or when it was last seen, if that is later.

    Args:
        node: the node.
        stays: on nodes of its name.
        end_s: when the next node of its name was created; two nodes never have a name at the same time.
    """
    if node.gone_s is None:
        return node
    last_s = max((stay.end_s for stay in stays if stay.start_s < end_s), default=node.gone_s)
    return replace(node, gone_s=int(min(max(node.gone_s, last_s), end_s)))


def _parts(day: DayUse, earlier: Iterable[tuple[Stay, str]]) -> Iterator[DayUse]:
    """Divide the use of a day: what stays show on earlier nodes, and the rest."""
    held: defaultdict[str, float] = defaultdict(float)
    idle: defaultdict[str, float] = defaultdict(float)
    for stay, key in earlier:
        if (stay.node, stay.gpu_type) == (day.node, day.gpu_type):
            held[key] += stay.gpu_fraction * _seconds((stay.start_s, stay.end_s), day.start_s)
            idle[key] += stay.gpu_fraction * _seconds(stay.idle_s, day.start_s)
    rest = day
    for key, gpu_s in held.items():
        allocated = min(gpu_s, rest.allocated_gpu_s)
        if allocated > 0.0:
            part = day.times(allocated / day.allocated_gpu_s)._replace(
                node=key, allocated_gpu_s=allocated, idle_gpu_s=min(idle[key], rest.idle_gpu_s, allocated),
                unknown_gpu_s=0.0,
            )  # fmt: skip
            yield part
            left = [max(0.0, whole - one) for whole, one in zip(rest[3:], part[3:], strict=True)]
            rest = DayUse(*rest[:3], rest.allocated_gpu_s - allocated, rest.idle_gpu_s - part.idle_gpu_s, *left[2:])
    if rest.allocated_gpu_s > 0.0:
        yield rest


def _seconds(spans: Sequence[int], day_s: int) -> int:
    """Seconds of a day within spans, given as first seconds and first seconds after them in turn."""
    pairs = zip(spans[::2], spans[1::2], strict=True)
    return sum(max(0, min(end_s, day_s + DAY_S) - max(start_s, day_s)) for start_s, end_s in pairs)
