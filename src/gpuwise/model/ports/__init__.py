"""The ports of the loop: what it needs from outside, as protocols that the adapters of other packages implement.

Pure.
"""

from gpuwise.model.ports.cluster import Access, ClusterReader, ClusterWriter, Object
from gpuwise.model.ports.enacting import Checker, Enactor, Fit, Leadership, Levels
from gpuwise.model.ports.ledger import CostHistory, Ledger
from gpuwise.model.ports.scoring import Checkpoints, Executor, Profiles
from gpuwise.model.ports.sources import Cite, InventorySource, UsageSource

__all__ = [
    "Access",
    "Checker",
    "Checkpoints",
    "Cite",
    "ClusterReader",
    "ClusterWriter",
    "CostHistory",
    "Enactor",
    "Executor",
    "Fit",
    "InventorySource",
    "Leadership",
    "Ledger",
    "Levels",
    "Object",
    "Profiles",
    "UsageSource",
]
