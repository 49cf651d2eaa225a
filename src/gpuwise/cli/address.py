"""Parsing --listen."""

from gpuwise.model.errors import InputError


def address(text: str) -> tuple[str, int]:
    """Return host and port of "host:port" or "[host]:port"; an empty host is all addresses, IPv4 and IPv6."""
    host, colon, port = text.rpartition(":")
    if not colon or not port.isdigit() or int(port) > 65_535:
        raise InputError(f"--listen is {text!r}", hint="write host:port, such as 127.0.0.1:8080, [::1]:8080 or :9400")
    return host.removeprefix("[").removesuffix("]"), int(port)
