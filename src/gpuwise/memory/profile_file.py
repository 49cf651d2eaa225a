"""The profiles of a pass, in a temporary file: 26 kB for each workload, and a fleet has ten thousand.

The file has no name, so the system frees it when the process ends, however it ends; and when the last reference to the
profiles is dropped.
"""

import os
import tempfile
import weakref
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Generic, TypeVar

from gpuwise.model.billed import BilledUse
from gpuwise.model.errors import InputError
from gpuwise.model.inventory import WorkloadRef
from gpuwise.model.packed import Packed, unpack, unpack_billed
from gpuwise.model.ports import Profiles
from gpuwise.model.profile import UsageProfile

Item = TypeVar("Item")


class ProfileFile(Profiles):
    """The `Profiles` port on a temporary file; of each kind of entry, one shard is in memory at a time.

    The folder is TMPDIR, or else the system's folder for temporary files.

    Raises:
        InputError: the file cannot be created.
    """

    def __init__(self) -> None:
        self._index: dict[WorkloadRef, tuple[int, int]] = {}
        self._shards = _Shards()
        self._profiles = _View(self._index, self._shards.profiles)
        self._billed = _View(self._index, self._shards.billed)

    def add(self, packed: Packed) -> None:
        """See the port.

        Raises:
            InputError: the file cannot be written, such as on a full disk.
        """
        number = self._shards.append(packed)
        self._index.update((ref, (number, place)) for place, ref in enumerate(packed.workloads))

    @property
    def billed(self) -> Mapping[WorkloadRef, BilledUse]:
        """See the port."""
        return self._billed

    def __getitem__(self, ref: WorkloadRef) -> UsageProfile:
        return self._profiles[ref]

    def __contains__(self, ref: object) -> bool:
        return ref in self._index

    def __iter__(self) -> Iterator[WorkloadRef]:
        return iter(self._index)

    def __len__(self) -> int:
        return len(self._index)


class _View(Mapping[WorkloadRef, Item], Generic[Item]):
    """The entries of one kind; the shard of the latest one is kept, because most are read in their order.

    Args:
        index: number of the shard and place in it, by workload.
        read: returns the entries of a shard.
    """

    def __init__(self, index: Mapping[WorkloadRef, tuple[int, int]], read: Callable[[int], Sequence[Item]]) -> None:
        self._index, self._read = index, read
        self._number: int | None = None
        self._shard: Sequence[Item] = ()

    def __getitem__(self, ref: WorkloadRef) -> Item:
        number, place = self._index[ref]
        if number != self._number:
            self._number, self._shard = None, ()  # freed before the next one is read
            self._number, self._shard = number, self._read(number)
        return self._shard[place]

    def __contains__(self, ref: object) -> bool:
        return ref in self._index

    def __iter__(self) -> Iterator[WorkloadRef]:
        return iter(self._index)

    def __len__(self) -> int:
        return len(self._index)


class _Shards:
    """The file: of each shard its profiles, then what the bill needs."""

    def __init__(self) -> None:
        try:
            self._folder = tempfile.gettempdir()
            file = tempfile.TemporaryFile(buffering=0, dir=self._folder)  # noqa: SIM115 - closed by the finalizer
        except OSError as error:
            raise _unusable(os.environ.get("TMPDIR") or "the folder for temporary files", error) from error
        self._file = file.fileno()
        self._end = 0
        self._places: list[tuple[int, int, int, Sequence[WorkloadRef]]] = []
        weakref.finalize(self, file.close)

    def append(self, packed: Packed) -> int:
        """Write a shard, and return its number."""
        start = self._end
        for part in (packed.profiles, packed.billed):
            self._write(part)
        self._places.append((start, len(packed.profiles), len(packed.billed), packed.workloads))
        return len(self._places) - 1

    def profiles(self, number: int) -> list[UsageProfile]:
        """Read the profiles of a shard."""
        start, length, _, workloads = self._places[number]
        return unpack(self._read(start, length), workloads)

    def billed(self, number: int) -> list[BilledUse]:
        """Read what the bill needs of a shard."""
        start, before, length, workloads = self._places[number]
        return unpack_billed(self._read(start + before, length), workloads)

    def _write(self, part: bytes) -> None:
        left = memoryview(part)
        try:
            while left:  # a disk that becomes full takes a part first
                written = os.pwrite(self._file, left, self._end)
                self._end, left = self._end + written, left[written:]
        except OSError as error:
            raise _unusable(self._folder, error) from error

    def _read(self, start: int, length: int) -> bytes:
        try:
            return os.pread(self._file, length, start)
        except OSError as error:
            raise _unusable(self._folder, error) from error


def _unusable(folder: str, error: OSError) -> InputError:
    return InputError(
        f"cannot keep the usage profiles in {folder}: {error.strerror or error}",
        hint="free space there, or set TMPDIR to a folder with 30 KiB for each workload",
    )
