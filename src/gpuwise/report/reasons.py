"""Reason codes in plain words, and the command that comes next for each."""

import shlex

from gpuwise.model.reasons import Reason
from gpuwise.model.recommendation import Blocked

_WORDS = {
    Reason.NO_ACTIVITY: "no signal shows any use",
    Reason.NO_REQUESTS: "no requests",
    Reason.DEVICES_NEVER_BUSY_TOGETHER: "its GPUs are never all in use at once",
    Reason.FITS_MIG_SLICE: "fits a MIG slice",
    Reason.NO_OWNER: "no owner",
    Reason.REST_LONGER_THAN_START: "rests longer than a start takes",
    Reason.SAME_HOURS_UNUSED: "unused at the same hours",
    Reason.LOAD_FITS_FEWER_REPLICAS: "fewer replicas carry its load",
    Reason.FITS_SHARE: "leaves room on its card",
    Reason.FITS_CHEAPER_TYPE: "fits a cheaper card",
    Reason.DRAWS_LESS_THAN_LIMIT: "draws less than its power limit",
    Reason.PODS_FIT_ELSEWHERE: "its pods fit elsewhere",
    Reason.SLICES_FIT_FEWER_GPUS: "its slices fit fewer GPUs",
    Reason.CHECKPOINTED: "resumes from a checkpoint",
    Reason.MULTI_REPLICA: "other replicas answer meanwhile",
    Reason.BUSY: "in use",
    Reason.WELL_SIZED: "of the right size",
    Reason.INSUFFICIENT_DATA: "too few samples to judge",
    Reason.SIGNALS_DISAGREE: "its signals disagree about idleness",
    Reason.NEEDS_SECOND_SIGNAL: "only one sensor calls it idle; two must agree",
    Reason.NO_PRICE: "no price is known for its GPUs",
    Reason.UNKNOWN_GPU_TYPE: "its card is unknown, or of several types",
    Reason.NOT_INTERRUPTIBLE: "an interruption would lose work or answers",
    Reason.ALREADY_SPOT: "on spot nodes already",
    Reason.PAID_IN_ADVANCE: "on nodes that are paid for in advance",
    Reason.NO_SPOT_CAPACITY: "the fleet has no spot node with its card",
    Reason.NO_MIG_CAPACITY: "no node offers the slice that would do",
    Reason.ALREADY_STOPPED: "holds no GPU now",
    Reason.TOO_YOUNG: "idle, but not for long enough",
    Reason.CARD_SHARED: "HAMi shares its card: its size is memory and cores",
    Reason.SEVERAL_CONTAINERS_ASK: "several of its containers ask for GPUs",
    Reason.KIND_NOT_SUPPORTED: "gpuwise does not write this change to this kind of object",
    Reason.NOT_APPLICABLE: "has no meaning for this kind of workload",
    Reason.NOT_MOVABLE: "nothing recreates its pod on another node",
    Reason.BETTER_ALTERNATIVE: "another change to the same GPU time is worth more",
    Reason.USED_AT_ALL_HOURS: "used at all hours of the week",
    Reason.STEADILY_USED: "its rests are shorter than a start",
    Reason.IS_A_SERVICE: "answers requests at any hour",
    Reason.SINGLE_REPLICA: "has the replicas that its availability needs",
    Reason.NOT_SHAREABLE: "needs most of its card, or its isolation",
    Reason.NO_CHEAPER_TYPE: "no cheaper card of the fleet would do",
    Reason.NOTHING_TO_CAP: "draws too little power to cap",
    Reason.WELL_PACKED: "its pods fit nowhere else",
    Reason.MODE_OFF: "its mode is off",
    Reason.RECOMMEND_ONLY: "its mode is recommend: a person may apply it",
    Reason.NEEDS_APPROVAL: "its mode is approve: a person must apply it",
    Reason.DISMISSED: "a person dismissed it",
    Reason.UNREADABLE_POLICY: "a label or annotation about it cannot be read: hands off",
    Reason.PROTECTED: "an annotation protects it",
    Reason.PROTECTED_NAMESPACE: "its namespace is never touched",
    Reason.MANAGED_BY_OTHER: "an autoscaler or GitOps tool owns it: change it there",
    Reason.BLOCKED_BY_PDB: "its PodDisruptionBudget allows no disruption now",
    Reason.BUDGET_EXHAUSTED: "the disruption budget is spent: a later run goes on",
    Reason.COOLING_DOWN: "changed a short while ago",
    Reason.RISK_TOO_HIGH: "riskier than automation is trusted with",
    Reason.LOW_CONFIDENCE: "less sure than automation must be",
    Reason.STALE_INVENTORY: "seen too long ago: scan again",
    Reason.BRAKE_ENGAGED: "too many changes at once to be believed",
    Reason.BREAKER_OPEN: "the last attempts on it failed",
    Reason.UNREADABLE_OBJECT: "a field of it cannot be read: left alone",
    Reason.PAUSED: "gpuwise is paused",
    Reason.CHANGED_SINCE_PLANNED: "changed between plan and write",
    Reason.TARGET_GONE: "is no more, or was recreated",
    Reason.REFUSED_BY_CLUSTER: "the Kubernetes API refused it",
    Reason.DENIED_BY_ADMISSION: "a policy, webhook or quota of the cluster denied it",
    Reason.NO_RIGHT: "gpuwise has no right to write it",
    Reason.OUTCOME_UNKNOWN: "the API server did not answer: looked up at the next run",
    Reason.NO_EFFECT: "was written, and did not last",
    Reason.CHANGED_BY_OTHERS: "somebody changed it since",
}

_BY_A_PERSON = frozenset(
    {
        Reason.RECOMMEND_ONLY,
        Reason.NEEDS_APPROVAL,
        Reason.RISK_TOO_HIGH,
        Reason.LOW_CONFIDENCE,
        Reason.BREAKER_OPEN,
    }
)
"""What a person may do all the same: their word is the consent."""

_COMMANDS = {
    Reason.PAUSED: ("resume",),
    Reason.BUDGET_EXHAUSTED: ("run", "--once"),
    Reason.STALE_INVENTORY: ("scan",),
    Reason.NO_RIGHT: ("doctor",),
    Reason.TARGET_GONE: ("scan",),
}


def reason(value: Reason) -> str:
    """A reason code in a few plain words."""
    return _WORDS[value]


def next_command(item: Blocked) -> str:
    """The command that comes next for something that is blocked, ready to paste."""
    subject = item.recommendation_id or str(item.workload)
    if item.reason in _COMMANDS:
        words = _COMMANDS[item.reason]
    elif item.reason in _BY_A_PERSON and item.recommendation_id is not None:
        words = ("apply", subject)
    else:
        words = ("explain", subject)
    return shlex.join(("gpuwise", *words))
