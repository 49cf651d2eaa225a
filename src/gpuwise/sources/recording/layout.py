"""How a recording lies on disk.

`inventory.json` (a Kubernetes List) and `usage/<namespace>/<pod>.parquet`, or `.csv`, `.csv.gz`. The path is
the index: a reader opens the files of the pods it is asked for and no other. Rows of one device are contiguous and
in order of time as this writer leaves them, but a reader takes any order, and every column has its statistics, by
which a reader leaves out those without a value. Columns:

| column | type | meaning |
|---|---|---|
| t_s | int64 | start of the sample, epoch seconds |
| namespace, pod | string | whose |
| device_uuid | string | NVML's UUID of the GPU or MIG device |
| gpu_type | string or null | canonical name of the card |
| gpu_fraction | float64 | share of a whole card that is paid for |
| node | string or null | where the card is; without it, where its pod runs now |
| one per `Signal` value | float32 | the measurement; null, NaN or no such column = not sampled |

`requests_per_second` speaks of the pod and may stand on any of its devices' rows.

`usage/_nodes/<node>.parquet`, which a recording need not have, holds the devices of a node at the times when no pod
held them, in the same columns; namespace and pod are empty. "_nodes" is no name that a namespace can have.
"""

import re

import pyarrow as pa

from gpuwise.model.errors import InputError
from gpuwise.model.signal import Signal

REQUIRED = ("t_s", "namespace", "pod", "device_uuid", "gpu_type", "gpu_fraction")
SIGNALS_BY_COLUMN = {signal.value: signal for signal in Signal}
INDEX = b"gpuwise.recording"
"""Key of what the writer leaves in a Parquet file's own metadata: whose each row group is, and its times."""

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
SUFFIXES = (".parquet", ".csv", ".csv.gz")
_NAME = re.compile(r"[a-z0-9]([-a-z0-9.]*[a-z0-9])?")  # RFC 1123: nothing that could climb out of the directory


def checked(name: str) -> str:
    """A name that may become a part of a path.

    Raises:
        InputError: it is no Kubernetes name.
    """
    if not _NAME.fullmatch(name):
        raise InputError(f"{name!r} is no Kubernetes name", hint="use lower-case letters, digits, '-' and '.'")
    return name


def stem(file_name: str) -> str | None:
    """A file's name without its suffix: the pod's or the node's name; None if it is no file of a recording."""
    return next((file_name.removesuffix(suffix) for suffix in SUFFIXES if file_name.endswith(suffix)), None)
