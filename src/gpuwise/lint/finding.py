"""What a check finds, and the list of all codes."""

from dataclasses import dataclass
from enum import StrEnum


class Severity(StrEnum):
    """How serious a finding is."""

    ERROR = "error"
    """The API server or a policy refuses it, or data may go where they must not."""
    WARNING = "warning"
    """GPUs are wasted by design, or gpuwise treats it in another way than meant."""
    INFO = "info"
    """Good to know."""


class Code(StrEnum):
    """What is found. The names are stable."""

    UNREADABLE = "Unreadable"
    """It is not YAML, or not a Kubernetes object that can be read."""
    TEMPLATE = "Template"
    """A template in a folder is not checked."""
    REQUIRED_LABEL_MISSING = "RequiredLabelMissing"
    """A label that `policy.required_labels` requires is missing on the workload, its pods and its namespace."""
    REGION_FORBIDDEN = "RegionForbidden"
    """Its pods could start in a region that its data class does not allow."""
    REGION_OPEN = "RegionOpen"
    """It has a data class, and its affinity requires no region."""
    UNKNOWN_DATA_CLASS = "UnknownDataClass"
    """Its data class is not in `recommend.regions_by_data_class`, so no region is allowed."""
    UNREADABLE_POLICY = "UnreadablePolicy"
    """A label or annotation of gpuwise has a value that cannot be read, and counts as a protection."""
    LIMIT_MISMATCH = "LimitMismatch"
    """Request and limit of a GPU differ, or there is no limit: the API server rejects it."""
    NO_MATCHING_NODE = "NoMatchingNode"
    """No node of the fleet can run it: its pods would wait."""
    SEVERAL_CONTAINERS_ASK = "SeveralContainersAsk"
    """Several containers of a pod request GPUs: the pod has the sum, and containers do not share them."""
    FEW_CPUS = "FewCpus"
    """Its CPU limit is below one core per GPU: the GPUs wait for the CPU."""
    NOT_RESUMABLE = "NotResumable"
    """A job on spot nodes declares no checkpoints: a reclaim loses all work."""
    NO_TIME_LIMIT = "NoTimeLimit"
    """A job has no deadline: if it hangs, it keeps its GPUs."""
    SHARED_GPU_REPEATED = "SharedGpuRepeated"
    """It requests several replicas of time-sliced GPUs, which may be the same card and give no more of it."""
    NO_BUDGET = "NoBudget"
    """The policy gives it no budget: automation never changes it, idle or not."""
    BUDGET_LEFT = "BudgetLeft"
    """How many disruptions the policy still allows for it."""
    COST = "Cost"
    """What it costs."""
    COST_UNKNOWN = "CostUnknown"
    """What it costs is not known, and why."""


@dataclass(frozen=True, slots=True)
class Finding:
    """One finding.

    Attributes:
        file: as given on the command line, "-" for standard input.
        line: counted from 1.
        severity: how serious it is.
        code: what it is.
        subject: namespace/Kind/name, "" if it is not about an object.
        text: the details, with the reason.
        hint: what to do, "" if there is nothing to do.
    """

    file: str
    line: int
    severity: Severity
    code: Code
    subject: str
    text: str
    hint: str = ""

    def __str__(self) -> str:
        """Format it as linters do."""
        about = f"{self.subject}: " if self.subject else ""
        hint = f"; {self.hint}" if self.hint else ""
        return f"{self.file}:{self.line}: {self.severity.value} {self.code.value}: {about}{self.text}{hint}"
