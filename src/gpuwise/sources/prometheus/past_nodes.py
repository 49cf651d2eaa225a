"""Nodes that no longer exist, from kube-state-metrics: when they existed, their cards and their capacity type.

A node counts only if it certainly belonged to this cluster (I28): matchers select the cluster, or the scrape target
that reports the node reports nodes of the inventory as well, with the times at which they were created. What is not
reported stays unknown.
"""

from collections import defaultdict
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import replace

from gpuwise.model.gpu import gpu_type
from gpuwise.model.inventory import Inventory, Node
from gpuwise.model.usage import Window
from gpuwise.sources.kubernetes.nodes import READ_LABELS, node_of
from gpuwise.sources.kubernetes.settings import InventorySettings
from gpuwise.sources.kubernetes.unread import READ_ERRORS
from gpuwise.sources.prometheus.client import PrometheusClient
from gpuwise.sources.prometheus.devices import device_key
from gpuwise.sources.prometheus.names import (
    INSTANCE_LABELS,
    MODEL_LABELS,
    NODE_LABELS,
    UUID_LABELS,
    any_of,
    first,
    quoted,
)
from gpuwise.sources.prometheus.node_lives import COARSE_S, Life, NodeSeries, during, lives_of, own_targets
from gpuwise.sources.prometheus.node_state import (
    CREATED,
    LABELS,
    NAMES_NODE,
    PRESENCE,
    UNITS,
    label_forms,
    node_name,
    node_object,
    resource_pattern,
)
from gpuwise.sources.prometheus.presence import label_sets, present
from gpuwise.sources.prometheus.selections import chunks


def past_nodes(
    client: PrometheusClient, gpu_rows: Sequence[str], inventory: Inventory, window: Window, settings: InventorySettings
) -> tuple[Node, ...]:
    """Return the nodes with GPUs that existed in a window and do not exist any more, with `gone_s`.

    Args:
        client: client of the server.
        gpu_rows: metrics of exporters that list all cards of a node.
        inventory: the nodes that exist.
        window: the window; lifetimes are read to 5 minutes.
        settings: names that are particular to the cluster.

    Raises:
        SourceError: a response is not complete.
    """
    names_there = present(client, PRESENCE, window).names
    if not names_there:
        return ()
    reader = NodeSeries(client, window)
    names = set(_named(client, gpu_rows, names_there, window, settings)) - _read_nodes(inventory)
    if CREATED in names_there:
        names |= {one.name for one in inventory.nodes.values() if (one.created_s or 0) > window.start_s}
    if not names:
        return ()
    presence = next(name for name in PRESENCE if name in names_there)
    own = None if client.settings.matchers else own_targets(reader, presence, inventory)
    lives = list(lives_of(reader, presence, names, own, inventory))
    if not lives:
        return ()
    alive = sorted({life.name for life in lives})
    labels = reader.rows(LABELS, alive, COARSE_S, own) if LABELS in names_there else {}
    unit = next((name for name in UNITS if name in names_there), None)
    matching = f",resource=~{quoted(resource_pattern(settings))}"
    units = reader.rows(unit, alive, COARSE_S, own, matching) if unit is not None else {}
    cards = _Cards(client, gpu_rows, lives, inventory, window)
    found = (
        _node(life, during(labels.get(life.name, ()), life), during(units.get(life.name, ()), life), cards, settings)
        for life in lives
    )
    return tuple(node for node in found if node is not None)


def _named(
    client: PrometheusClient,
    gpu_rows: Sequence[str],
    names_there: frozenset[str],
    window: Window,
    settings: InventorySettings,
) -> Iterator[str]:
    """Yield the nodes that had GPUs: by their resources, or by rows of GPUs if kube-state-metrics has no resources."""
    if units := names_there & set(UNITS):
        gpus = f"resource=~{quoted(resource_pattern(settings))}"
        yield from {node_name(labels) for labels in label_sets(client, units, gpus, NAMES_NODE, window)}
        return
    for labels in label_sets(client, gpu_rows, "", NODE_LABELS, window):
        yield from (labels[label] for label in NODE_LABELS if label in labels)


def _read_nodes(inventory: Inventory) -> set[str]:
    """Return the nodes that exist, also those that cannot be read."""
    unread = {one.ref.name for one in inventory.unread if one.ref.kind == "Node"}
    return unread | inventory.nodes.keys() | {""}


class _Cards:
    """Product and number of a node's cards by the rows of its GPUs, read when they are needed first.

    The rows have no times, so they count only for names that one node had.
    """

    def __init__(
        self,
        client: PrometheusClient,
        gpu_rows: Sequence[str],
        lives: Sequence[Life],
        inventory: Inventory,
        window: Window,
    ) -> None:
        once = [life.name for life in lives if life.name not in inventory.nodes]
        self._names = sorted(name for name in set(once) if once.count(name) == 1)
        self._read: Callable[[], dict[str, list[Mapping[str, str]]]] = lambda: _rows_of_nodes(
            client, gpu_rows, self._names, window
        )
        self._rows: dict[str, list[Mapping[str, str]]] | None = None

    def of(self, name: str) -> tuple[str, int]:
        """Return product and number; "" and 0 if they are not known."""
        if name not in self._names:
            return "", 0
        if self._rows is None:
            self._rows = self._read()
        rows = self._rows.get(name, [])
        products = {product for labels in rows if (product := first(labels, MODEL_LABELS))}
        types = {gpu_type(product) for product in products}
        devices = {key.uuid for labels in rows if (key := device_key(labels)) is not None}
        return min(products) if len(types) == 1 else "", sum(not uuid.startswith("MIG-") for uuid in devices)


def _rows_of_nodes(
    client: PrometheusClient, gpu_rows: Sequence[str], names: Sequence[str], window: Window
) -> dict[str, list[Mapping[str, str]]]:
    found: defaultdict[str, list[Mapping[str, str]]] = defaultdict(list)
    needed = (*UUID_LABELS, *INSTANCE_LABELS, *MODEL_LABELS)
    for some in chunks(names):
        for label in NODE_LABELS:
            for labels in label_sets(client, gpu_rows, f"{label}=~{any_of(some)}", (label, *needed), window):
                found[labels[label]].append(labels)
    return found


def _node(
    life: Life,
    labels: Sequence[tuple[Mapping[str, str], float]],
    units: Sequence[tuple[Mapping[str, str], float]],
    cards: _Cards,
    settings: InventorySettings,
) -> Node | None:
    """Return the node, None if it is not known to have had GPUs."""
    reported = labels[-1][0] if labels else {}
    amounts: dict[str, float] = {}
    for row, amount in units:
        amounts[row.get("resource", "")] = max(amount, amounts.get(row.get("resource", ""), 0.0))
    complete = {form for name in READ_LABELS if "gpu.count" in name for form in label_forms(name)} & reported.keys()
    product, count = ("", 0) if complete else cards.of(life.name)
    item = node_object(life.name, reported, amounts, settings, product=product, cards=count)
    with suppress(*READ_ERRORS):
        node = node_of(item, settings=settings)
        return None if node is None else replace(node, created_s=life.created_s, gone_s=life.end_s)
    return None
