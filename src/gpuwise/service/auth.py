"""Authentication of readers by one bearer token, which a browser sends as the password of HTTP Basic."""

import base64
import binascii
import ipaddress
import secrets

from gpuwise.model.errors import InputError


def token_for(listen_host: str, token: str | None) -> str | None:
    """Return the token to require of readers, after checking that this address may be listened on.

    Args:
        listen_host: name or address to bind.
        token: as configured; None or empty means no authentication.

    Returns:
        The token, or None for a loopback address without a token.

    Raises:
        InputError: the address can be reached from other machines and there is no token.
    """
    if token:
        return token
    if _is_loopback(listen_host):
        return None
    raise InputError(
        f"service.listen is {listen_host} without a token: anybody who can reach it could read the report",
        hint="set service.token_file, or listen on 127.0.0.1",
    )


def _is_loopback(host: str) -> bool:
    if host == "localhost":
        return True
    try:
        return ipaddress.ip_address(host.strip("[]")).is_loopback
    except ValueError:
        return False  # a name can resolve to anything


def admits(token: str, authorization: str | None) -> bool:
    """Check whether an Authorization header contains the token, as Bearer or as the password of Basic."""
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
