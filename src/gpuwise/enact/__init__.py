"""The only writer to workloads. Each effect is recorded as an intent first, has a precondition, and can be undone.

Forbidden here: choosing what to do.
"""

from gpuwise.enact.enactor import KubernetesEnactor
from gpuwise.enact.examine import Examiner
from gpuwise.enact.settings import EnactSettings

__all__ = ["EnactSettings", "Examiner", "KubernetesEnactor"]
