"""Where to listen, as people write it."""

from gpuwise.model.errors import InputError


def address(text: str) -> tuple[str, int]:
    """Host and port of "host:port"; an empty host means all interfaces."""
    host, colon, port = text.rpartition(":")
    if not colon or not port.isdigit() or int(port) > 65_535:
        raise InputError(f"--listen is {text!r}", mend="write host:port, as 127.0.0.1:8080 or :9400")
    return host or "0.0.0.0", int(port)  # noqa: S104 - an empty host means all, as everywhere
