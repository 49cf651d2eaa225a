"""Continue tokens: the version of a list, and the object after which it continues."""

import base64
import binascii
import json
from dataclasses import dataclass

from gpuwise.emulate.status import ApiFailure, Object

_VERSION = "meta.k8s.io/v1"
_BAD = "invalid continue token: continue key is not valid: "
NOW = -1
"""The version of a token that continues with the latest list."""


@dataclass(frozen=True, slots=True)
class Page:
    """One page of a list.

    Attributes:
        items: the objects.
        version: resourceVersion of the whole list.
        token: for the next page, "" on the last.
        remaining: objects after this page, None if the server does not count them.
    """

    items: list[Object]
    version: int
    token: str
    remaining: int | None


def make_token(version: int, namespace: str, name: str) -> str:
    """A token that continues after an object."""
    body = json.dumps({"v": _VERSION, "rv": version, "start": f"{namespace}/{name}\0"}, separators=(",", ":"))
    return base64.urlsafe_b64encode(body.encode()).decode().rstrip("=")


def read_token(token: str) -> tuple[int, str, str]:
    """Version, namespace and name of a token.

    Raises:
        ApiFailure: 400, the token is invalid.
    """
    try:
        raw = base64.b64decode(token + "=" * (-len(token) % 4), altchars=b"-_", validate=True)
    except (binascii.Error, ValueError) as error:
        good = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_"
        at = next((at for at, letter in enumerate(token) if letter not in good), len(token))
        raise ApiFailure(400, f"{_BAD}illegal base64 data at input byte {at}") from error
    try:
        body = json.loads(raw.decode("latin-1"))
    except ValueError as error:
        first = raw[:1].decode("latin-1")
        raise ApiFailure(400, f"{_BAD}invalid character '{first}' looking for beginning of value") from error
    if body.get("v") != _VERSION:
        raise ApiFailure(400, f"{_BAD}server does not recognize this encoded version {body.get('v', '')}")
    namespace, _, name = str(body.get("start", "")).rstrip("\0").partition("/")
    return int(body["rv"]), namespace, name
