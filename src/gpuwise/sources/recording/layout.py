"""The files of a recording.

A recording has `inventory.json` (a Kubernetes List) and `usage/<namespace>/<pod>.parquet`, or `.csv`, `.csv.gz`. The
path is the index: a reader opens only the files of the requested pods. The writer groups rows by device and sorts them
by time; a reader accepts any order. The rows of a device's last UTC day are a row group of their own, so that a pass
that continues an hour later reads one day. By the statistics of a column, a reader skips it if it has no value.
Columns:

| column | type | meaning |
|---|---|---|
| t_s | int64 | start of the sample, epoch seconds |
| namespace, pod | string | the pod |
| device_uuid | string | NVML's UUID of the GPU or MIG device |
| gpu_type | string or null | canonical GPU type |
| gpu_fraction | float64 | share of a whole card that is paid for |
| node | string or null | node of the card; if null, the node on which its pod runs now |
| one per `Signal` value | float32 | the measurement; null, NaN or no such column = not sampled |

`requests_per_second` and `work_per_second` belong to the pod and may be in the rows of any of its devices. The columns
`power_limit_watts`, `mean_power_watts`, `work_per_second` and `own_use_ratio` are in the files of pods that have such
values, and in no others.

`usage/_nodes/<node>.parquet` is optional. It contains the devices of a node at the times when they were unallocated, in
the same columns; namespace and pod are empty. No namespace can be named "_nodes".

`recent/` is optional. It repeats the rows of the last UTC day, those of many pods in one file
(`gpuwise.sources.recording.recent`).
"""

import re

import pyarrow as pa

from gpuwise.model.errors import InputError
from gpuwise.model.signal import Signal

REQUIRED = ("t_s", "namespace", "pod", "device_uuid", "gpu_type", "gpu_fraction")
SIGNALS_BY_COLUMN = {signal.value: signal for signal in Signal}
INDEX = b"gpuwise.recording"
"""Key of the writer's index in a Parquet file's metadata: the device and the times of each row group."""

TYPES = {
    "t_s": pa.int64(),
    "namespace": pa.string(),
    "pod": pa.string(),
    "device_uuid": pa.string(),
    "gpu_type": pa.string(),
    "gpu_fraction": pa.float64(),
    "node": pa.string(),
} | {signal.value: pa.float32() for signal in Signal}

NODES = "_nodes"
RECENT = "recent"
SUFFIXES = (".parquet", ".csv", ".csv.gz")
_NAME = re.compile(r"[a-z0-9]([-a-z0-9.]*[a-z0-9])?")  # RFC 1123: a name cannot lead out of the directory


def checked(name: str) -> str:
    """Return a name that may be used in a path.

    Raises:
        InputError: it is not a Kubernetes name.
    """
    if not _NAME.fullmatch(name):
        raise InputError(f"{name!r} is not a Kubernetes name", hint="use lower-case letters, digits, '-' and '.'")
    return name


def stem(file_name: str) -> str | None:
    """Return a file's name without its suffix, the name of the pod or node; None if it is not a recording's file."""
    return next((file_name.removesuffix(suffix) for suffix in SUFFIXES if file_name.endswith(suffix)), None)
