"""Opens and calls NVML: "not supported" is an absent value and not an error, every other error is counted."""

import ctypes
from collections.abc import Callable
from pathlib import Path
from typing import Any, TypeVar

import pynvml

from gpuwise.collect.reading import DriverReplaced, Findings
from gpuwise.model.errors import DeviceError

T = TypeVar("T")

# NVML's ways to report "not supported": the board lacks it, the driver is too old, the field has no sample yet, and
# the version of the structure is unknown.
_ABSENT = frozenset(
    {
        pynvml.NVML_ERROR_NOT_SUPPORTED,
        pynvml.NVML_ERROR_FUNCTION_NOT_FOUND,
        pynvml.NVML_ERROR_NO_DATA,
        pynvml.NVML_ERROR_ARGUMENT_VERSION_MISMATCH,
    },
)
_CODES = {getattr(pynvml, name): name for name in dir(pynvml) if name.startswith("NVML_ERROR_")}


class Calls(Findings):
    """The results of one sweep, and its calls to NVML."""

    def ask(self, function: Callable[..., T], *args: Any) -> T | None:
        """The result of the call; None on an error, which is counted unless it is "not supported"."""
        try:
            return function(*args)
        except pynvml.NVMLError as error:
            self.record_error(error.value)
            return None

    def ask_or(self, absent: T, function: Callable[..., T], *args: Any) -> T | None:
        """The result of the call; `absent` if the board does not support it, None if that is unknown."""
        try:
            return function(*args)
        except pynvml.NVMLError as error:
            self.record_error(error.value)
            return absent if error.value in _ABSENT else None

    def record_error(self, code: int) -> None:
        """Count an error by its NVML name."""
        if code not in _ABSENT:
            self.errors.append(name_of(code))


def name_of(code: int) -> str:
    """NVML's name of an error code."""
    return _CODES.get(code, f"NVML_{code}")


def preload(library: Path) -> None:
    """Load a library whose soname is libnvidia-ml.so.1, so that pynvml's own dlopen of that name finds it loaded.

    Raises:
        DeviceError: the library cannot be loaded.
    """
    try:
        ctypes.CDLL(str(library), mode=ctypes.RTLD_GLOBAL)
    except OSError as error:
        raise DeviceError(
            f"NVML library {library} cannot be loaded: {error}",
            hint="name a libnvidia-ml.so.1, or omit --nvml-library",
        ) from error


def initialise() -> None:
    """Open NVML.

    Raises:
        DriverReplaced: the driver and the loaded library have different versions.
        DeviceError: there is no driver, or NVML returned an error.
    """
    try:
        pynvml.nvmlInit()
    except pynvml.NVMLError as error:
        if error.value == pynvml.NVML_ERROR_LIB_RM_VERSION_MISMATCH:
            raise DriverReplaced from error
        raise DeviceError(
            f"NVML cannot be opened: {error}",
            hint="install the NVIDIA driver on this node, and set NVIDIA_VISIBLE_DEVICES=all in the container",
        ) from error
