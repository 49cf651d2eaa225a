"""Settings of the election; names and defaults are those of client-go and controller-runtime."""

from dataclasses import dataclass

from gpuwise.model.errors import InputError

# client-go's JitterFactor: the renew deadline must allow one retry after the longest pause.
_JITTER = 1.2


@dataclass(frozen=True, slots=True)
class LeadSettings:
    """The election of the one process that writes to a cluster."""

    enabled: bool | None = None
    """Elect a leader among all processes of `gpuwise run` and `gpuwise serve`; only the leader writes. None elects in a
    pod, where `lead.namespace` is set, and where the cluster has the Lease; elsewhere a person runs one process."""

    namespace: str | None = None
    """Namespace of the Lease; None uses the pod's namespace, else gpuwise."""

    name: str = "gpuwise"
    """Name of the Lease. Processes with the same namespace and name elect one leader."""

    lease_duration_s: float = 15.0
    """Seconds without a renewal after which another process takes the Lease."""

    renew_deadline_s: float = 10.0
    """Seconds after the last renewal at which the leader stops writing. The process exits before lease_duration_s."""

    retry_period_s: float = 2.0
    """Seconds between two renewals, and between two attempts to become the leader."""

    @property
    def election_timeout_s(self) -> float:
        """Timeout of a request for the Lease: half of the renew deadline, as in client-go."""
        return self.renew_deadline_s / 2

    @property
    def write_timeout_s(self) -> float:
        """Timeout of a leader's write: one that begins at the renew deadline ends before the lease expires."""
        return self.lease_duration_s - self.renew_deadline_s

    def check(self) -> None:
        """Check the durations against each other.

        Raises:
            InputError: a duration is too short or too long.
        """
        if self.retry_period_s <= 0 or self.renew_deadline_s <= self.retry_period_s * _JITTER:
            shown = f"lead.renew_deadline_s is {self.renew_deadline_s} and lead.retry_period_s {self.retry_period_s}"
            raise InputError(shown, hint=f"the deadline must be more than {_JITTER} times the period, which is over 0")
        if self.lease_duration_s <= self.renew_deadline_s:
            shown = f"lead.lease_duration_s is {self.lease_duration_s}, lead.renew_deadline_s {self.renew_deadline_s}"
            raise InputError(shown, hint="the lease must last longer than the deadline")
