"""The error tree: everything a user can cause, each with one line that says what is wrong and how to fix it.

GpuwiseError
├── InputError           a file, flag or key that cannot be read as meant
├── SourceError          Prometheus or a recording did not give whole, trustworthy data
├── ClusterError         the Kubernetes API refused or could not be reached
│   ├── Conflict         409: the object changed since it was read
│   ├── Gone             404 or 410: the object, or the version asked for, is no more
│   ├── Forbidden        401 or 403: the identity may not do this
│   ├── Denied           admission said no: a policy, a webhook, a quota
│   ├── Throttled        429: a disruption budget, or too many requests
│   └── NoAnswer         no answer, or a gateway's: whether a write took place is not known
├── DeviceError          NVML refused or is not there
└── LedgerError          the ledger is corrupt, tampered with or locked
"""

from collections.abc import Callable


class GpuwiseError(Exception):
    """What is wrong and the hint, in one line for a person.

    Args:
        problem: what is wrong, naming the file, field, flag or address.
        hint: what the reader can do about it.
    """

    def __init__(self, problem: str, *, hint: str) -> None:
        super().__init__(f"{problem}; {hint}")
        self.problem = problem
        self.hint = hint

    def __reduce__(self) -> tuple[Callable[..., "GpuwiseError"], tuple[type["GpuwiseError"], str, str]]:
        """Errors travel between processes; the keyword has to come along."""
        return _rebuilt, (type(self), self.problem, self.hint)


def _rebuilt(kind: type[GpuwiseError], problem: str, hint: str) -> GpuwiseError:
    return kind(problem, hint=hint)


class InputError(GpuwiseError):
    """A file, flag or configuration key that cannot be read as meant."""


class SourceError(GpuwiseError):
    """A source of usage did not give whole, trustworthy data."""


class ClusterError(GpuwiseError):
    """The Kubernetes API refused or could not be reached."""


class Conflict(ClusterError):
    """The object changed since it was read (409)."""


class Gone(ClusterError):
    """The object, or the version asked for, is no more (404, 410)."""


class Forbidden(ClusterError):
    """The identity may not do this (401, 403)."""


class Denied(ClusterError):
    """Admission refused the object: a policy, a webhook, Pod Security or a quota; who asked had the right to ask."""


class Throttled(ClusterError):
    """A disruption budget or the server's rate limit says later (429)."""


class NoAnswer(ClusterError):
    """No answer came from the API server itself: whether a write took place is not known."""


class DeviceError(GpuwiseError):
    """NVML refused or is not there."""


class LedgerError(GpuwiseError):
    """The ledger is corrupt, tampered with or locked."""
