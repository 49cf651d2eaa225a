"""Paths in the configuration that begin with ~."""

import dataclasses
import typing
from pathlib import Path
from typing import Any

from gpuwise.config.sections import Config
from gpuwise.model.errors import InputError


def at_home(config: Config) -> Config:
    """Return the configuration with the leading ~ of every path replaced by the home folder.

    Raises:
        InputError: the home folder is unknown.
    """
    return typing.cast("Config", _at_home(config))


def _at_home(settings: Any, prefix: str = "") -> Any:
    changed: dict[str, Any] = {}
    for field_ in dataclasses.fields(settings):
        value, key = getattr(settings, field_.name), f"{prefix}{field_.name}"
        if dataclasses.is_dataclass(value):
            changed[field_.name] = _at_home(value, f"{key}.")
        elif isinstance(value, Path):
            changed[field_.name] = expanded(value, key)
        elif isinstance(value, dict) and any(isinstance(one, Path) for one in value.values()):
            changed[field_.name] = {name: expanded(one, key) for name, one in value.items()}
    return dataclasses.replace(settings, **changed)


def expanded(path: Path, key: str) -> Path:
    """Return a path with its leading ~ or ~name replaced by the home folder.

    Args:
        path: path as configured.
        key: configuration key, for the error.

    Raises:
        InputError: the user is unknown.
    """
    try:
        return path.expanduser()
    except RuntimeError as error:
        problem = f"{key} is {str(path)!r}, but its home folder is unknown"
        raise InputError(problem, hint="write the full path") from error
