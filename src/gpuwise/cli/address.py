"""Where to listen, as people write it."""

from gpuwise.model.errors import InputError


def address(text: str) -> tuple[str, int]:
    """Host and port of "host:port" or "[host]:port"; an empty host means all addresses, IPv4 and IPv6."""
    host, colon, port = text.rpartition(":")
    if not colon or not port.isdigit() or int(port) > 65_535:
        raise InputError(f"--listen is {text!r}", hint="write host:port, as 127.0.0.1:8080, [::1]:8080 or :9400")
    return host.removeprefix("[").removesuffix("]"), int(port)
