"""Errors of the API: Status objects."""

from collections.abc import Sequence
from typing import Any

from gpuwise.emulate.causes import Cause
from gpuwise.emulate.resources import Resource

Object = dict[str, Any]

# Reasons by code: apimachinery's metav1.StatusReason.
_REASONS = {
    400: "BadRequest",
    401: "Unauthorized",
    403: "Forbidden",
    404: "NotFound",
    405: "MethodNotAllowed",
    406: "NotAcceptable",
    409: "Conflict",
    410: "Expired",
    415: "UnsupportedMediaType",
    422: "Invalid",
    429: "TooManyRequests",
    503: "ServiceUnavailable",
    504: "Timeout",
}


class ApiFailure(Exception):
    """An error response of the API.

    Args:
        code: HTTP status.
        message: human-readable.
        reason: the API's reason, None for the default of the code, "" for none.
        details: machine-readable details; None to omit them.
        headers: additional HTTP headers, such as Retry-After.
        metadata: of the Status, such as the continue token of a 410.
    """

    def __init__(
        self,
        code: int,
        message: str,
        *,
        reason: str | None = None,
        details: Object | None = None,
        headers: dict[str, str] | None = None,
        metadata: Object | None = None,
    ) -> None:
        super().__init__(message)
        self.code = code
        self.message = message
        self.reason = _REASONS.get(code, "") if reason is None else reason
        self.details = details
        self.headers = headers or {}
        self.metadata = metadata or {}

    def status(self) -> Object:
        """The Status object sent to the client."""
        found: Object = {"kind": "Status", "apiVersion": "v1", "metadata": self.metadata, "status": "Failure"}
        found["message"] = self.message
        if self.reason:
            found["reason"] = self.reason
        if self.details is not None:
            found["details"] = self.details
        return found | {"code": self.code}


class NoSuchPath(ApiFailure):
    """404 in plain text: the group or path is not served."""

    def __init__(self) -> None:
        super().__init__(404, "404 page not found")


class NoSuchSchema(NoSuchPath):
    """404 without a body: /openapi/v3 of a group that is not served."""


def details_of(name: str, group: str, kind: str) -> Object:
    """The details of a Status; empty fields are omitted."""
    return {key: value for key, value in (("name", name), ("group", group), ("kind", kind)) if value}


def _details(resource: Resource, name: str) -> Object:
    return details_of(name, resource.group, resource.plural)


def not_emulated(what: str) -> ApiFailure:
    """501: a real server supports this request, but the emulator does not."""
    return ApiFailure(501, f"not emulated: {what}", reason="NotImplemented")


def not_found(resource: Resource, name: str) -> ApiFailure:
    """404 for one object."""
    return ApiFailure(404, f'{resource.label} "{name}" not found', details=_details(resource, name))


def no_such_resource() -> ApiFailure:
    """404 for a path within a served group."""
    return ApiFailure(404, "the server could not find the requested resource", details={})


def method_not_allowed() -> ApiFailure:
    """405."""
    return ApiFailure(405, "the server does not allow this method on the requested resource", details={})


def already_exists(resource: Resource, name: str) -> ApiFailure:
    """409 for a create."""
    text = f'{resource.label} "{name}" already exists'
    return ApiFailure(409, text, reason="AlreadyExists", details=_details(resource, name))


def conflict(resource: Resource, name: str, why: str) -> ApiFailure:
    """409 for a failed precondition."""
    text = f'Operation cannot be fulfilled on {resource.label} "{name}": {why}'
    return ApiFailure(409, text, details=_details(resource, name))


def stale(resource: Resource, name: str) -> ApiFailure:
    """409 for an outdated resourceVersion."""
    return conflict(
        resource,
        name,
        "the object has been modified; please apply your changes to the latest version and try again",
    )


def refused(resource: Resource, name: str, why: str) -> ApiFailure:
    """403 from an admission plug-in."""
    return ApiFailure(403, f'{resource.label} "{name}" is forbidden: {why}', details=_details(resource, name))


def invalid(kind: str, group: str, name: str, causes: Sequence[Cause]) -> ApiFailure:
    """422 with its causes.

    Args:
        kind: of the object, or the resource's name where the server uses that.
        group: its API group, "" for the core.
        name: of the object.
        causes: the problems; the message contains each once.
    """
    texts = list(dict.fromkeys(f"{cause.field}: {cause.message}" for cause in causes))
    text = texts[0] if len(texts) == 1 else f"[{', '.join(texts)}]"
    listed = [{"reason": cause.reason, "message": cause.message, "field": cause.field} for cause in causes]
    full = f"{kind}.{group}" if group else kind
    return ApiFailure(
        422,
        f'{full} "{name}" is invalid: {text}',
        details=details_of(name, group, kind) | {"causes": listed},
    )


def invalid_object(resource: Resource, name: str, causes: Sequence[Cause]) -> ApiFailure:
    """422 for an object of a kind."""
    # Events are validated in their core form in both API groups.
    group = "" if resource.kind == "Event" else resource.group
    return invalid(resource.kind, group, name, causes)


def expired(why: str, *, token: str = "") -> ApiFailure:
    """410 for a resourceVersion or a continue token that is no longer available.

    Args:
        why: human-readable reason.
        token: a token with which the list can be continued nevertheless.
    """
    return ApiFailure(410, why, metadata={"continue": token} if token else None)


def too_large(version: str, current: int) -> ApiFailure:
    """504 for a resourceVersion that does not exist yet."""
    cause = {"reason": "ResourceVersionTooLarge", "message": "Too large resource version"}
    return ApiFailure(
        504,
        f"Timeout: Too large resource version: {version}, current: {current}",
        details={"causes": [cause], "retryAfterSeconds": 1},
        headers={"Retry-After": "1"},
    )
