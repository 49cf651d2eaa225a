"""Limits of the enactor."""

from collections.abc import Mapping
from dataclasses import dataclass, field

from gpuwise.model.command import FLEET, Limit, Mode, ServiceLevel


@dataclass(frozen=True, slots=True)
class EnactSettings:
    """Limits on the enactor.

    Attributes:
        dry_run: only show what would be done; write neither to the cluster nor to the ledger.
        limits: budgets of effects.
        settle_timeout_s: how long to wait for the target's controller to observe a write, and then for its pods,
            seconds.
        protected_namespaces: never changed, in addition to the system namespaces: gpuwise's own namespace, and those
            of the policy.
        protections: further labels or annotations that protect, with the value; "*" is any value.
        default_mode: the policy's mode, for a workload that sets none and whose namespace sets none. The mode off
            also blocks people's commands.
        stop_namespace: namespace of the ConfigMap that stops all effects; None for no such switch.
        stop_must_be_readable: whether automation stops if it has no right to read that ConfigMap, as in a pod, whose
            Role has it.
        watch_s: how long pods and service levels are watched after a write, seconds; 0 for not at all.
        canary_share: the share of the pods that a resize or a move to spot changes first, 0 to 1; 0 for all at once.
        canary_s: how long these pods are checked before the others follow, seconds.
        levels: service levels that must hold meanwhile; their queries name the target as $namespace, $name and $kind.
        min_alive_s: how long pods must have been ready before automation stops them, seconds.
        wake_ahead_s: how long before its forecast next use a stopped object is started again, seconds; None for not at
            all.
        nodes: whether nodes are cordoned, drained and given another MIG layout.
        node_action_s: how long such an action may take before the node is uncordoned, seconds.
        node_memory_query: PromQL for the GPU memory in use on $node, bytes; "" if it is not known.
        mig_configs: names of the MIG manager's configurations by layout, as "1g.10gb:7,3g.40gb:2".
    """

    dry_run: bool = False
    limits: tuple[Limit, ...] = (Limit(FLEET, 10, 3_600),)
    settle_timeout_s: float = 5.0
    protected_namespaces: frozenset[str] = frozenset()
    protections: Mapping[str, str] = field(default_factory=dict)
    default_mode: Mode = Mode.RECOMMEND
    stop_namespace: str | None = None
    stop_must_be_readable: bool = True
    watch_s: int = 0
    canary_share: float = 0.0
    canary_s: int = 600
    levels: tuple[ServiceLevel, ...] = ()
    min_alive_s: int = 0
    wake_ahead_s: int | None = None
    nodes: bool = False
    node_action_s: int = 3_600
    node_memory_query: str = ""
    mig_configs: Mapping[str, str] = field(default_factory=dict)
