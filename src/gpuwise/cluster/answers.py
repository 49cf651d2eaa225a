"""Maps error responses of the API server to error classes: one class for each type of failure."""

import re
from collections.abc import Mapping

from gpuwise.model.errors import ClusterError, Conflict, Denied, Forbidden, Gone, NoAnswer, Throttled
from gpuwise.model.ports import Object


class Expired(ClusterError):
    """A page of a list that is no longer available (410)."""


# The message of the RBAC authorizer; a 403 with another message comes from admission: a policy, a webhook, a quota.
_NO_RIGHT = re.compile(r"\bcannot \w+ (resource|path) ")
_DENIED = re.compile(r"denied (the )?request")


def error_for(asked: str, code: int, status: Object) -> ClusterError:
    """The error for a response that is not a success.

    Args:
        asked: the request, as "PATCH /apis/...".
        code: HTTP status.
        status: the Status object of the response, or the part of one that could be read from its text.
    """
    why = status.get("message") or status.get("reason") or "no reason"
    problem = f"the Kubernetes API refused {asked} with {code}: {why}"
    details = status.get("details")
    causes = (details.get("causes") if isinstance(details, dict) else None) or []
    # A real server returns 422 if a patch names another uid, and 409 for any other precondition (kubernetes#127625).
    other_uid = code == 422 and any(cause.get("field") == "metadata.uid" for cause in causes)
    if code == 409 or other_uid:
        return Conflict(problem, hint="read the object again, then decide again")
    # A ValidatingAdmissionPolicy denies with 422 unless it sets another reason.
    if _DENIED.search(why) or (code == 403 and status.get("kind") == "Status" and not _NO_RIGHT.search(why)):
        return Denied(problem, hint="ask the owner of that policy, or change the object so that the policy allows it")
    if code == 401:
        return Forbidden(problem, hint="the server does not accept these credentials: sign in again, or use --context")
    if code == 403:
        return Forbidden(problem, hint="grant this identity the permission, or use another identity with --context")
    if code == 410:
        return Expired(problem, hint="list again")
    kinds: dict[int, tuple[type[ClusterError], str]] = {
        404: (Gone, "the object may have been deleted; list again"),
        429: (Throttled, "try again later"),
        # A proxy lost its connection to the server, or the server timed out: the request may still be in progress.
        502: (NoAnswer, "try again later"),
        504: (NoAnswer, "try again later"),
    }
    kind, hint = kinds.get(code, (ClusterError, "see the API server's log"))
    return kind(problem, hint=hint)


def first_line(raw: bytes) -> str:
    """The first line of a plain text response, shortened: the page of a proxy may be long."""
    lines = raw.decode("utf-8", "replace").strip().splitlines()
    return lines[0][:200] if lines else ""


def retry_after_s(headers: Mapping[str, str]) -> float | None:
    """The value of Retry-After, seconds; None if it is absent or cannot be read."""
    try:
        return max(0.0, float(headers.get("Retry-After", "")))
    except ValueError:
        return None


def cause_of(error: BaseException) -> str:
    """The innermost reason in a few words: "connection refused" instead of three nested exceptions."""
    reason = getattr(error, "reason", None)
    if isinstance(reason, BaseException):
        return cause_of(reason)
    inner = error.__cause__ or error.__context__
    if isinstance(inner, OSError) and inner.strerror:
        return inner.strerror.lower()
    return str(reason or error).splitlines()[-1].rpartition(": ")[2] or type(error).__name__
