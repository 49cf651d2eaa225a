"""Opens and calls NVML: "not supported" is an absent value and not an error, every other error is counted."""

import ctypes
from collections.abc import Callable
from functools import cache
from pathlib import Path
from typing import Any, TypeVar

import pynvml

from gpuwise.collect.reading import Findings
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
GPU_IS_LOST = "NVML_ERROR_GPU_IS_LOST"
_CODES = {getattr(pynvml, name): name for name in dir(pynvml) if name.startswith("NVML_ERROR_")}


class Calls(Findings):
    """The results of one sweep, and its calls to NVML.

    Attributes:
        lost: whether a call since this was last set to False found the card lost.
    """

    lost: bool = False

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
        self.lost = self.lost or code == pynvml.NVML_ERROR_GPU_IS_LOST
        if code not in _ABSENT:
            self.errors.append(name_of(code))


def as_plain(array: Any) -> Any:
    """The same memory as an array of plain ctypes structures.

    The structures of pynvml decode each attribute in Python, which takes five times as long as reading it.

    Args:
        array: a ctypes array of one of pynvml's structures.
    """
    return _plain(array._type_, array._length_).from_buffer(array)


@cache
def _plain(structure: Any, length: int) -> Any:
    plain: Any = type(structure.__name__, (ctypes.Structure,), {"_fields_": structure._fields_})
    return plain * length


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


# What to do about nvmlInit's errors; any other means that the driver is not visible here.
_HINTS = {
    pynvml.NVML_ERROR_LIB_RM_VERSION_MISMATCH: "the loaded kernel driver and this node's NVML library have different "
    "versions, as after an update of the driver's packages: drain the node and reload the driver (modprobe -r nvidia, "
    "modprobe nvidia), or reboot the node; to restart the exporter does not help",
    pynvml.NVML_ERROR_NO_PERMISSION: "run the exporter with access to /dev/nvidiactl and the /dev/nvidia* devices",
    pynvml.NVML_ERROR_GPU_IS_LOST: "a GPU has fallen off the bus: check dmesg, drain and reboot the node",
    pynvml.NVML_ERROR_RESET_REQUIRED: "a GPU must be reset: drain the node, then nvidia-smi --gpu-reset or reboot it",
}
_NO_DRIVER = "install the NVIDIA driver on this node, and set NVIDIA_VISIBLE_DEVICES=all in the container"


class VersionMismatch(DeviceError):
    """The loaded kernel driver has another version than the NVML library."""


def initialise() -> None:
    """Open NVML.

    Raises:
        VersionMismatch: the driver and the library have different versions.
        DeviceError: there is no driver, or NVML returned an error.
    """
    try:
        pynvml.nvmlInit()
    except pynvml.NVMLError as error:
        mismatch = error.value == pynvml.NVML_ERROR_LIB_RM_VERSION_MISMATCH
        kind = VersionMismatch if mismatch else DeviceError
        raise kind(f"NVML cannot be opened: {error}", hint=_HINTS.get(error.value, _NO_DRIVER)) from error
