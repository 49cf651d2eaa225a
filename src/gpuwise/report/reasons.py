"""Reason codes in plain words, and the command to run next for each."""

import shlex

from gpuwise.model.reasons import Reason
from gpuwise.model.recommendation import Blocked

_WORDS = {
    Reason.NO_ACTIVITY: "no signal shows any use",
    Reason.NO_REQUESTS: "no requests",
    Reason.DEVICES_NEVER_BUSY_TOGETHER: "its GPUs are never all in use at once",
    Reason.FITS_MIG_SLICE: "fits a MIG slice",
    Reason.NO_OWNER: "no owner",
    Reason.NOTHING_STARTS_IT: "nothing starts it at its next request",
    Reason.REST_LONGER_THAN_START: "its idle gaps are longer than its start takes",
    Reason.SAME_HOURS_UNUSED: "unused at the same hours",
    Reason.LOAD_FITS_FEWER_REPLICAS: "fewer replicas can serve its load",
    Reason.FITS_SHARE: "leaves most of its card free",
    Reason.FITS_CHEAPER_TYPE: "fits a cheaper card",
    Reason.CHEAPER_BY_SPEED: "its work costs less on another GPU type",
    Reason.DRAWS_LESS_THAN_LIMIT: "draws less than its power limit",
    Reason.SLOWER_UNDER_LIMIT: "too slow under the power limit in force: take it back",
    Reason.MEASURE_AGAIN: "faster than under the highest limit: measure that again",
    Reason.LIMIT_MEASURED: "another measured power limit takes less energy",
    Reason.PODS_FIT_ELSEWHERE: "its pods fit elsewhere",
    Reason.FITS_NOW: "fits on a node as it is now",
    Reason.FITS_AFTER_MOVES: "fits on a node after other pods move",
    Reason.NO_SPACE: "fits on no node that accepts it",
    Reason.OVER_QUOTA: "a quota of its namespace would refuse its new pods",
    Reason.SLICES_FIT_FEWER_GPUS: "its slices fit fewer GPUs",
    Reason.REGION_NOT_ALLOWED: "the class of its data does not allow its region",
    Reason.CHECKPOINTED: "resumes from a checkpoint",
    Reason.MULTI_REPLICA: "other replicas serve requests in the meantime",
    Reason.SPOT_MEETS_DEADLINE: "cheaper on spot, and its deadline is still met if spot goes",
    Reason.DEADLINE_NEEDS_ON_DEMAND: "its deadline needs on-demand nodes",
    Reason.BUSY: "in use",
    Reason.WELL_SIZED: "its size fits its use",
    Reason.INSUFFICIENT_DATA: "too few samples to judge",
    Reason.SIGNALS_DISAGREE: "its signals disagree whether it is idle",
    Reason.NEEDS_SECOND_SIGNAL: "only one sensor reports it idle; two must agree",
    Reason.NO_PRICE: "no price is known for its GPUs",
    Reason.UNKNOWN_GPU_TYPE: "its GPU type is unknown or mixed",
    Reason.NOT_INTERRUPTIBLE: "an interruption would lose work or requests",
    Reason.ALREADY_SPOT: "already on spot nodes",
    Reason.ON_CHOSEN_CAPACITY: "on the capacity that its deadline calls for",
    Reason.DEADLINE_CANNOT_BE_MET: "on-demand alone cannot meet its deadline",
    Reason.UNREADABLE_DECLARATION: "its declared work or deadline cannot be read",
    Reason.PAID_IN_ADVANCE: "on nodes that are already paid for",
    Reason.NO_SPOT_CAPACITY: "the fleet has no spot node with its GPU type",
    Reason.NO_MIG_CAPACITY: "no node offers a MIG slice that fits it",
    Reason.REGIONS_ALLOWED: "runs where the class of its data allows",
    Reason.ALREADY_STOPPED: "has no GPU allocated now",
    Reason.TOO_YOUNG: "not idle for long enough yet",
    Reason.CARD_SHARED: "HAMi shares its card and sizes it by memory and cores",
    Reason.SEVERAL_CONTAINERS_ASK: "several of its containers request GPUs",
    Reason.KIND_NOT_SUPPORTED: "gpuwise cannot write this change to this kind of object",
    Reason.NOT_APPLICABLE: "does not apply to this kind of workload",
    Reason.NOT_MOVABLE: "nothing recreates its pods on another node",
    Reason.BETTER_ALTERNATIVE: "another change to the same GPU time is worth more",
    Reason.USED_AT_ALL_HOURS: "used at all hours of the week",
    Reason.STEADILY_USED: "its idle gaps are shorter than a start",
    Reason.IS_A_SERVICE: "serves requests at any hour",
    Reason.SINGLE_REPLICA: "has the replicas that its availability needs",
    Reason.NOT_SHAREABLE: "needs most of its card, or isolation from others",
    Reason.NO_CHEAPER_TYPE: "no cheaper GPU type of the fleet fits it",
    Reason.NOTHING_TO_CAP: "draws too little power for a cap to matter",
    Reason.LIMIT_IS_BEST: "its power limit is the best one measured",
    Reason.WELL_PACKED: "its pods fit on no other node",
    Reason.MODE_OFF: "its mode is off",
    Reason.RECOMMEND_ONLY: "its mode is recommend: a person may apply it",
    Reason.NEEDS_APPROVAL: "its mode is approve: a person must apply it",
    Reason.NEEDS_SECOND_PERSON: "further people must approve it",
    Reason.DISMISSED: "a person dismissed it",
    Reason.UNREADABLE_POLICY: "one of its labels or annotations cannot be read",
    Reason.PROTECTED: "an annotation protects it",
    Reason.PROTECTED_NAMESPACE: "its namespace is protected",
    Reason.MANAGED_BY_OTHER: "an autoscaler or GitOps tool manages it: change it there",
    Reason.BLOCKED_BY_PDB: "its PodDisruptionBudget allows no disruption now",
    Reason.BUDGET_EXHAUSTED: "the disruption budget is used up: a later run continues",
    Reason.COOLING_DOWN: "was changed within the cool-down",
    Reason.RISK_TOO_HIGH: "its risk is above the limit for automation",
    Reason.LOW_CONFIDENCE: "its confidence is below the limit for automation",
    Reason.STALE_INVENTORY: "the inventory is too old: scan again",
    Reason.BRAKE_ENGAGED: "too many changes at once: the data may be wrong",
    Reason.BREAKER_OPEN: "the last attempts on it failed",
    Reason.ROLLOUT_PAUSED: "its rollout is paused",
    Reason.NOT_REVERSIBLE: "would delete data that undo cannot restore",
    Reason.UNREADABLE_OBJECT: "one of its fields cannot be read",
    Reason.METHOD_FAILED: "an error in gpuwise",
    Reason.OUTSIDE_WINDOW: "outside the maintenance windows: a later run makes it",
    Reason.FROZEN: "changes are frozen now",
    Reason.RULE_FORBIDS: "a rule of the policy forbids it",
    Reason.SAVING_TOO_SMALL: "saves less than the minimum for automation",
    Reason.TAKEN_BACK: "the last change to it was taken back",
    Reason.REGION_FORBIDDEN: "could start in a region that its data may not enter",
    Reason.PAUSED: "gpuwise is paused",
    Reason.STOPPED: "gpuwise is stopped by its ConfigMap",
    Reason.CHANGED_SINCE_PLANNED: "it changed between plan and write",
    Reason.TARGET_GONE: "no longer exists, or was recreated",
    Reason.REFUSED_BY_CLUSTER: "the Kubernetes API server rejected the write",
    Reason.DENIED_BY_ADMISSION: "a policy, webhook or quota of the cluster denied it",
    Reason.NO_RIGHT: "RBAC does not allow gpuwise to write it",
    Reason.OUTCOME_UNKNOWN: "the API server did not respond: the next run checks it",
    Reason.NO_EFFECT: "it was written, but did not last",
    Reason.CHECK_FAILED: "its check after the write failed: restored",
    Reason.NO_EVIDENCE: "its check could not be measured: restored",
    Reason.CHANGED_BY_OTHERS: "somebody else changed it since",
}

_APPLICABLE = frozenset(
    {
        Reason.RECOMMEND_ONLY,
        Reason.NEEDS_APPROVAL,
        Reason.RISK_TOO_HIGH,
        Reason.LOW_CONFIDENCE,
        Reason.BREAKER_OPEN,
        Reason.SAVING_TOO_SMALL,
        Reason.TAKEN_BACK,
    }
)
"""Reasons that block only automation: a person may still run `gpuwise apply`, which is the approval."""

_COMMANDS = {
    Reason.OUTSIDE_WINDOW: ("run", "--once"),
    Reason.PAUSED: ("resume",),
    Reason.BUDGET_EXHAUSTED: ("run", "--once"),
    Reason.STALE_INVENTORY: ("scan",),
    Reason.NO_RIGHT: ("doctor",),
    Reason.TARGET_GONE: ("scan",),
}


def reason(value: Reason) -> str:
    """Describe a reason code in a few plain words."""
    return _WORDS[value]


def next_command(item: Blocked) -> str:
    """Return the command to run next for something that is blocked, ready to paste."""
    subject = item.recommendation_id or str(item.workload)
    if item.reason in _COMMANDS:
        words = _COMMANDS[item.reason]
    elif item.reason in _APPLICABLE and item.recommendation_id is not None:
        words = ("apply", subject)
    else:
        words = ("explain", subject)
    return shlex.join(("gpuwise", *words))
