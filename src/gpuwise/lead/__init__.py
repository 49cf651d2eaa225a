"""Which process may write: the leader, elected on a Lease in monotonic time, with a hard stop before it expires.

Forbidden here: deciding what to do, wall-clock time in the decision whether a lease has expired.
"""

from gpuwise.lead.leader import Leader, Standing
from gpuwise.lead.settings import LeadSettings

__all__ = ["LeadSettings", "Leader", "Standing"]
