"""Opening NVML, and calling it: "not supported" is no answer and no error, every other refusal is counted."""

import ctypes
from collections.abc import Callable
from pathlib import Path
from typing import Any, TypeVar

import pynvml

from gpuwise.collect.reading import DriverReplaced, Findings
from gpuwise.model.errors import DeviceError

T = TypeVar("T")

# "Not here" in NVML's ways of saying it: the board cannot, the driver is too old, the field has no sample yet, and
# this structure's version is not known.
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
    """What one sweep has gathered, and how it calls NVML."""

    def ask(self, function: Callable[..., T], *args: Any) -> T | None:
        """The call's answer; None where NVML has none, and the error counted unless it is "not supported"."""
        try:
            return function(*args)
        except pynvml.NVMLError as error:
            self.refuse(error.value)
            return None

    def ask_or(self, absent: T, function: Callable[..., T], *args: Any) -> T | None:
        """The call's answer; `absent` where the board has no such thing, None where that is not known."""
        try:
            return function(*args)
        except pynvml.NVMLError as error:
            self.refuse(error.value)
            return absent if error.value in _ABSENT else None

    def refuse(self, code: int) -> None:
        """Count an error, by NVML's name of it."""
        if code not in _ABSENT:
            self.errors.append(name_of(code))


def name_of(code: int) -> str:
    """NVML's name of an error."""
    return _CODES.get(code, f"NVML_{code}")


def preload(library: Path) -> None:
    """Load a library whose soname is libnvidia-ml.so.1, so that pynvml's own dlopen of that name finds it loaded.

    Raises:
        DeviceError: it cannot be loaded.
    """
    try:
        ctypes.CDLL(str(library), mode=ctypes.RTLD_GLOBAL)
    except OSError as error:
        raise DeviceError(
            f"NVML library {library} cannot be loaded: {error}", hint="name a libnvidia-ml.so.1, or leave the flag out"
        ) from error


def initialise() -> None:
    """Open NVML.

    Raises:
        DriverReplaced: the driver is of another version than the library that is loaded.
        DeviceError: there is no driver, or it refuses.
    """
    try:
        pynvml.nvmlInit()
    except pynvml.NVMLError as error:
        if error.value == pynvml.NVML_ERROR_LIB_RM_VERSION_MISMATCH:
            raise DriverReplaced from error
        raise DeviceError(
            f"NVML cannot be opened: {error}",
            hint="install the NVIDIA driver on this node, and give the container NVIDIA_VISIBLE_DEVICES=all",
        ) from error
