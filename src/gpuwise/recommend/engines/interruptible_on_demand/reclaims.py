"""How often spot nodes are reclaimed, from those that the fleet had."""

import math
from collections.abc import Iterable
from dataclasses import dataclass

from gpuwise.model.inventory import CapacityType, Node
from gpuwise.model.usage import DAY_S

_MONTH_S = 730 * 3_600
# Availability changes within weeks: a node that went a season ago says little.
_LOOK_BACK_S = 90 * DAY_S
# The assumed share counts as much as this many months of one node, so that three nodes outweigh it in two months.
_ASSUMED_MONTHS = 6.0


@dataclass(frozen=True, slots=True)
class Reclaims:
    """The expected share of spot nodes that are reclaimed within a month, and what it is based on.

    Attributes:
        share: 0 to 1.
        gone: spot nodes that went in the look-back.
        months: months of all spot nodes together in the look-back.
    """

    share: float
    gone: int
    months: float


def expected_reclaims(nodes: Iterable[Node], *, assumed: float, now_s: int, prior: float | None = None) -> Reclaims:
    """The share of spot nodes that are reclaimed within a month.

    Reclaims are a Poisson process whose rate has a gamma distribution (Gelman et al., "Bayesian Data Analysis", section
    2.6): the mean is (assumed rate x 6 + nodes that went) / (6 + months observed). A node that an autoscaler removed
    counts as reclaimed. A node that went before anybody saw it does not count, and then only the survivors are seen:
    so the share is never below the assumed one.

    Args:
        nodes: nodes that exist, and remembered ones that no longer do.
        assumed: share reclaimed within a month where nothing was observed, 0 to 1; no share is below it.
        now_s: epoch seconds.
        prior: expected share for nodes like these, such as those of all zones; None for the assumed one.
    """
    first_s, gone, months = now_s - _LOOK_BACK_S, 0, 0.0
    for node in nodes:
        if node.capacity_type is not CapacityType.SPOT or node.created_s is None:
            continue
        last_s = now_s if node.gone_s is None else min(node.gone_s, now_s)
        if last_s >= first_s:
            gone += node.gone_s is not None
            months += max(0, last_s - max(first_s, node.created_s)) / _MONTH_S
    expected = assumed if prior is None else prior
    rate = (-math.log1p(-expected) * _ASSUMED_MONTHS + gone) / (_ASSUMED_MONTHS + months)
    return Reclaims(max(assumed, -math.expm1(-rate)), gone, months)
