"""The only writer to workloads: each effect has its intent in the ledger first, a precondition on it, and an undo.

Forbidden here: choosing what to do.
"""

from gpuwise.enact.enactor import KubernetesEnactor
from gpuwise.enact.examine import Examiner
from gpuwise.enact.settings import EnactSettings

__all__ = ["EnactSettings", "Examiner", "KubernetesEnactor"]
