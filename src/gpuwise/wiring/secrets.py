"""Secrets, each in a file."""

from pathlib import Path

from gpuwise.model.errors import InputError


def secret(path: Path | None, key: str) -> str | None:
    """Return the content of a secret's file, None if no file is configured."""
    if path is None:
        return None
    try:
        return path.read_text().strip()
    except (OSError, UnicodeDecodeError) as error:
        raise InputError(f"cannot read the secret in {path}: {error}", hint=f"check {key}") from error
