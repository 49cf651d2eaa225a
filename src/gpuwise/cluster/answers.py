"""What an API server's refusal means: one error class for each way of saying no."""

import re
from collections.abc import Mapping

from gpuwise.model.errors import ClusterError, Conflict, Denied, Forbidden, Gone, NoAnswer, Throttled
from gpuwise.model.ports import Object


class Expired(ClusterError):
    """A page that can no longer be given (410)."""


# What the RBAC authorizer says; a 403 in other words comes from admission: a policy, a webhook, a quota.
_NO_RIGHT = re.compile(r"\bcannot \w+ (resource|path) ")
_DENIED = re.compile(r"denied (the )?request")


def refusal(asked: str, code: int, status: Object) -> ClusterError:
    """The error that a refusal stands for.

    Args:
        asked: the request, as "PATCH /apis/...".
        code: HTTP status.
        status: the Status object of the answer, or as much of one as its text gives.
    """
    why = status.get("message") or status.get("reason") or "no reason"
    said = f"the Kubernetes API refused {asked} with {code}: {why}"
    details = status.get("details")
    causes = (details.get("causes") if isinstance(details, dict) else None) or []
    # A real server says 422 where a patch names another uid, and 409 for every other precondition (kubernetes#127625).
    other_uid = code == 422 and any(cause.get("field") == "metadata.uid" for cause in causes)
    if code == 409 or other_uid:
        return Conflict(said, hint="read it again, then decide again")
    # A ValidatingAdmissionPolicy denies with 422 unless it names another reason.
    if _DENIED.search(why) or (code == 403 and status.get("kind") == "Status" and not _NO_RIGHT.search(why)):
        return Denied(said, hint="ask whoever runs that policy, or change the object so that it is let in")
    if code in (401, 403):
        return Forbidden(said, hint="give this identity the right, or use another one with --context")
    if code == 410:
        return Expired(said, hint="list again")
    kinds: dict[int, tuple[type[ClusterError], str]] = {
        404: (Gone, "it may have been deleted; list again"),
        429: (Throttled, "try again later"),
        # A proxy that lost the server, or the server's own time limit: the request may go on without us.
        502: (NoAnswer, "try again later"),
        504: (NoAnswer, "try again later"),
    }
    kind, hint = kinds.get(code, (ClusterError, "see the API server's log"))
    return kind(said, hint=hint)


def first_line(raw: bytes) -> str:
    """What a plain text answer says, short enough for one line: a proxy's page may be long."""
    lines = raw.decode("utf-8", "replace").strip().splitlines()
    return lines[0][:200] if lines else ""


def retry_after_s(headers: Mapping[str, str]) -> float | None:
    """The pause that a server asks for, seconds; None if it asks for none that can be read."""
    try:
        return max(0.0, float(headers.get("Retry-After", "")))
    except ValueError:
        return None


def cause_of(error: BaseException) -> str:
    """The innermost reason in a few words: "connection refused" rather than three classes of it."""
    reason = getattr(error, "reason", None)
    if isinstance(reason, BaseException):
        return cause_of(reason)
    inner = error.__cause__ or error.__context__
    if isinstance(inner, OSError) and inner.strerror:
        return inner.strerror.lower()
    return str(reason or error).splitlines()[-1].rpartition(": ")[2] or type(error).__name__
