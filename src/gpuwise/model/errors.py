"""The error tree: every error that a user can cause has one line that states the problem and how to fix it.

GpuwiseError
├── InputError           a file, flag or configuration key is invalid
├── SourceError          Prometheus or a recording did not return complete, trustworthy data
├── ClusterError         the Kubernetes API refused a request or could not be reached
│   ├── Conflict         409: the object changed since it was read
│   ├── Gone             404 or 410: the object, or the requested version of it, no longer exists
│   ├── Forbidden        401 or 403: the identity has no right to do this
│   ├── Denied           admission refused the object: a policy, a webhook, a quota
│   ├── Throttled        429: a disruption budget, or too many requests
│   └── NoAnswer         no answer, or only a gateway's: it is not known whether a write took place
├── DeviceError          NVML returned an error or is not installed
├── DeliveryError        a report could not be sent, or it is not known whether it was
├── LedgerError          the ledger is corrupt, tampered with or locked
│   └── Superseded       a later leader has taken over the ledger
└── NotLeader            this process is not the leader, or its lease is about to expire
"""

from collections.abc import Callable


class GpuwiseError(Exception):
    """The problem and the hint, in one line for a person.

    Args:
        problem: what is wrong, with the name of the file, field, flag or address.
        hint: what the reader can do about it.
    """

    def __init__(self, problem: str, *, hint: str) -> None:
        super().__init__(f"{problem}; {hint}")
        self.problem = problem
        self.hint = hint

    def __reduce__(self) -> tuple[Callable[..., "GpuwiseError"], tuple[type["GpuwiseError"], str, str]]:
        """Keep the keyword argument when an error is pickled and sent to another process."""
        return _rebuilt, (type(self), self.problem, self.hint)


def _rebuilt(kind: type[GpuwiseError], problem: str, hint: str) -> GpuwiseError:
    return kind(problem, hint=hint)


class InputError(GpuwiseError):
    """A file, flag or configuration key is invalid."""


class SourceError(GpuwiseError):
    """A source of usage did not return complete, trustworthy data."""


class ClusterError(GpuwiseError):
    """The Kubernetes API refused a request or could not be reached."""


class Conflict(ClusterError):
    """The object changed since it was read (409)."""


class Gone(ClusterError):
    """The object, or the requested version of it, no longer exists (404, 410)."""


class Forbidden(ClusterError):
    """The identity has no right to do this (401, 403)."""


class Denied(ClusterError):
    """Admission refused the object: a policy, a webhook, Pod Security or a quota. RBAC allowed the request."""


class Throttled(ClusterError):
    """A disruption budget or the server's rate limit refuses the request for now (429)."""


class NoAnswer(ClusterError):
    """The API server itself did not answer: it is not known whether a write took place."""


class DeviceError(GpuwiseError):
    """NVML returned an error or is not installed."""


class DeliveryError(GpuwiseError):
    """A report could not be sent to everybody, or it is not known whether it was."""


class LedgerError(GpuwiseError):
    """The ledger is corrupt, tampered with or locked."""


class Superseded(LedgerError):
    """A later leader has taken over: this process must not write any more."""


class NotLeader(GpuwiseError):
    """This process is not the leader, or its lease is about to expire."""
