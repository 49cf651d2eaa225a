"""Who may read: one bearer token, which a browser gives as the password of HTTP Basic."""

import base64
import binascii
import ipaddress
import secrets

from gpuwise.model.errors import InputError


def token_for(listen_host: str, token: str | None) -> str | None:
    """The token to demand of readers, once it is certain that this address may be listened on.

    Args:
        listen_host: name or address to bind.
        token: as configured; None or empty asks for no authentication.

    Returns:
        The token, or None on loopback without one.

    Raises:
        InputError: the address can be reached from elsewhere and there is no token.
    """
    if token:
        return token
    if _is_loopback(listen_host):
        return None
    raise InputError(
        f"listening on {listen_host} without a token would show the report to everyone who can reach it",
        hint="set service.token, or listen on 127.0.0.1",
    )


def _is_loopback(host: str) -> bool:
    if host == "localhost":
        return True
    try:
        return ipaddress.ip_address(host.strip("[]")).is_loopback
    except ValueError:
        return False  # a name can resolve to anything


def admits(token: str, authorization: str | None) -> bool:
    """Whether an Authorization header carries the token, as Bearer or as the password of Basic."""
    scheme, _, rest = (authorization or "").partition(" ")
    given = rest.strip()
    if scheme.lower() == "basic":
        try:
            given = base64.b64decode(given, validate=True).decode().partition(":")[2]
        except (binascii.Error, UnicodeDecodeError):
            return False
    elif scheme.lower() != "bearer":
        return False
    return secrets.compare_digest(given.encode(), token.encode())
