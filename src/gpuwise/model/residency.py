"""The class of a workload's data, and the regions that it allows."""

from collections.abc import Mapping

from gpuwise.model.inventory import Inventory, Workload
from gpuwise.model.labels import DATA_CLASS

RegionsByClass = Mapping[str, tuple[str, ...]]
"""The regions that each class of data allows."""


def data_class_of(workload: Workload, inventory: Inventory) -> str | None:
    """The class of a workload's data, from the workload, its pods or its namespace; None if nothing names one."""
    namespace = inventory.namespaces.get(workload.ref.namespace)
    places = [workload.annotations, workload.labels, workload.pod_labels]
    if namespace is not None:
        places += [namespace.annotations, namespace.labels]
    return next((place[DATA_CLASS] for place in places if DATA_CLASS in place), None)


def allows(data_class: str | None, region: str | None, regions: RegionsByClass) -> bool:
    """Whether a class of data allows a region; with a class, an unknown region is not allowed.

    Args:
        data_class: of the workload, None if it has none.
        region: of a node, None if it is not known.
        regions: by class.
    """
    return data_class is None or region in regions.get(data_class, ())
