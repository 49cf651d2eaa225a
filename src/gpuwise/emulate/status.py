"""What a refusal looks like: the API's Status objects."""

from typing import Any

from gpuwise.emulate.resources import Resource

Object = dict[str, Any]

# Reason words per code: apimachinery's metav1.StatusReason.
_REASONS = {
    400: "BadRequest",
    401: "Unauthorized",
    403: "Forbidden",
    404: "NotFound",
    405: "MethodNotAllowed",
    409: "Conflict",
    410: "Expired",
    415: "UnsupportedMediaType",
    422: "Invalid",
    429: "TooManyRequests",
    500: "InternalError",
    503: "ServiceUnavailable",
}


class ApiFailure(Exception):
    """A request that the API refuses.

    Args:
        code: HTTP status.
        message: for a person.
        reason: the API's word, None for the usual one of the code.
        details: the API's details, for a program.
        headers: extra HTTP headers, such as Retry-After.
    """

    def __init__(
        self,
        code: int,
        message: str,
        *,
        reason: str | None = None,
        details: Object | None = None,
        headers: dict[str, str] | None = None,
    ) -> None:
        super().__init__(message)
        self.code = code
        self.message = message
        self.reason = reason or _REASONS.get(code, "Unknown")
        self.details = details or {}
        self.headers = headers or {}

    def status(self) -> Object:
        """The Status object that the client reads."""
        return {
            "kind": "Status",
            "apiVersion": "v1",
            "metadata": {},
            "status": "Failure",
            "message": self.message,
            "reason": self.reason,
            "details": self.details,
            "code": self.code,
        }


def _details(resource: Resource, name: str) -> Object:
    return {"name": name, "group": resource.group, "kind": resource.plural}


def not_found(resource: Resource, name: str) -> ApiFailure:
    """404 for one object."""
    return ApiFailure(404, f'{resource.label} "{name}" not found', details=_details(resource, name))


def no_such_path() -> ApiFailure:
    """404 for a path that is served by nothing."""
    return ApiFailure(404, "the server could not find the requested resource")


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


def invalid(resource: Resource, name: str, causes: list[tuple[str, str]]) -> ApiFailure:
    """422 with its causes.

    Args:
        resource: of which kind.
        name: of the object.
        causes: pairs of field path and what is wrong with it.
    """
    text = ", ".join(f"{field}: {why}" for field, why in causes)
    details = {
        "name": name,
        "group": resource.group,
        "kind": resource.kind,
        "causes": [{"reason": "FieldValueInvalid", "message": why, "field": field} for field, why in causes],
    }
    return ApiFailure(422, f'{resource.kind}.{resource.group or "core"} "{name}" is invalid: {text}', details=details)


def expired(why: str) -> ApiFailure:
    """410 for a resourceVersion or a continue token that is no longer kept."""
    return ApiFailure(410, why)
