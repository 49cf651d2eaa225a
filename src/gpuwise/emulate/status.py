"""What a refusal looks like: the API's Status objects."""

from collections.abc import Sequence
from typing import Any

from gpuwise.emulate.causes import Cause
from gpuwise.emulate.resources import Resource

Object = dict[str, Any]

# Reason words per code: apimachinery's metav1.StatusReason.
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
    """A request that the API refuses.

    Args:
        code: HTTP status.
        message: for a person.
        reason: the API's word, None for the usual one of the code, "" for none.
        details: the API's details, for a program; None to leave them out.
        headers: extra HTTP headers, such as Retry-After.
        metadata: of the Status, such as the continue token that comes with a 410.
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
        """The Status object that the client reads."""
        found: Object = {"kind": "Status", "apiVersion": "v1", "metadata": self.metadata, "status": "Failure"}
        found["message"] = self.message
        if self.reason:
            found["reason"] = self.reason
        if self.details is not None:
            found["details"] = self.details
        return found | {"code": self.code}


class NoSuchPath(ApiFailure):
    """404 in plain text: no group of that name, or no such path, is served."""

    def __init__(self) -> None:
        super().__init__(404, "404 page not found")


class NoSuchSchema(NoSuchPath):
    """404 with no body at all: /openapi/v3 of a group that is not served."""


def details_of(name: str, group: str, kind: str) -> Object:
    """The details of a Status; what is empty is left out."""
    return {key: value for key, value in (("name", name), ("group", group), ("kind", kind)) if value}


def _details(resource: Resource, name: str) -> Object:
    return details_of(name, resource.group, resource.plural)


def not_emulated(what: str) -> ApiFailure:
    """501: a real server answers this, and the emulator does not know how."""
    return ApiFailure(501, f"not emulated: {what}", reason="NotImplemented")


def not_found(resource: Resource, name: str) -> ApiFailure:
    """404 for one object."""
    return ApiFailure(404, f'{resource.label} "{name}" not found', details=_details(resource, name))


def no_such_resource() -> ApiFailure:
    """404 for a path below a group that is served."""
    return ApiFailure(404, "the server could not find the requested resource", details={})


def method_not_allowed() -> ApiFailure:
    """405."""
    return ApiFailure(405, "the server does not allow this method on the requested resource", details={})


def already_exists(resource: Resource, name: str) -> ApiFailure:
    """409 for a create."""
    text = f'{resource.label} "{name}" already exists'
    return ApiFailure(409, text, reason="AlreadyExists", details=_details(resource, name))


def conflict(resource: Resource, name: str, why: str) -> ApiFailure:
    """409 for a precondition that does not hold."""
    text = f'Operation cannot be fulfilled on {resource.label} "{name}": {why}'
    return ApiFailure(409, text, details=_details(resource, name))


def stale(resource: Resource, name: str) -> ApiFailure:
    """409 for a resourceVersion that is no longer the object's."""
    return conflict(
        resource,
        name,
        "the object has been modified; please apply your changes to the latest version and try again",
    )


def refused(resource: Resource, name: str, why: str) -> ApiFailure:
    """403 by an admission plug-in."""
    return ApiFailure(403, f'{resource.label} "{name}" is forbidden: {why}', details=_details(resource, name))


def invalid(kind: str, group: str, name: str, causes: Sequence[Cause]) -> ApiFailure:
    """422 with its causes.

    Args:
        kind: of the object; the resource's name where the server says that.
        group: its API group, "" for the core.
        name: of the object.
        causes: what is wrong; the message says each once.
    """
    said = list(dict.fromkeys(f"{cause.field}: {cause.message}" for cause in causes))
    text = said[0] if len(said) == 1 else f"[{', '.join(said)}]"
    listed = [{"reason": cause.reason, "message": cause.message, "field": cause.field} for cause in causes]
    full = f"{kind}.{group}" if group else kind
    return ApiFailure(
        422,
        f'{full} "{name}" is invalid: {text}',
        details=details_of(name, group, kind) | {"causes": listed},
    )


def invalid_object(resource: Resource, name: str, causes: Sequence[Cause]) -> ApiFailure:
    """422 for an object of a kind."""
    # Events are checked in their core form, whichever way they came.
    group = "" if resource.kind == "Event" else resource.group
    return invalid(resource.kind, group, name, causes)


def expired(why: str, *, token: str = "") -> ApiFailure:
    """410 for a resourceVersion or a continue token that is no longer kept.

    Args:
        why: for a person.
        token: with which a list can go on all the same.
    """
    return ApiFailure(410, why, metadata={"continue": token} if token else None)


def too_large(version: str, current: int) -> ApiFailure:
    """504 for a resourceVersion that is not there yet."""
    cause = {"reason": "ResourceVersionTooLarge", "message": "Too large resource version"}
    return ApiFailure(
        504,
        f"Timeout: Too large resource version: {version}, current: {current}",
        details={"causes": [cause], "retryAfterSeconds": 1},
        headers={"Retry-After": "1"},
    )
