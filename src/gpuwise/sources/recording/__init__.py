"""Recordings: usage kept as Parquet or CSV in a directory, written pod by pod and read workload by workload.

`layout` says how they lie on disk, `writer` writes them, `files` reads one file, `pods` lays it on a window's grid,
`source` finds the files of the workloads it is asked for.
"""

from gpuwise.sources.recording.source import RecordedUsage
from gpuwise.sources.recording.writer import RecordingWriter

__all__ = ["RecordedUsage", "RecordingWriter"]
