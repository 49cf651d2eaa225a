"""Recordings: usage as Parquet or CSV files in a directory, written per pod and read per workload.

`layout` defines the files, `writer` writes them, `files` reads one file, `recent` writes and reads the last day of many
pods, `pods` puts rows on a window's grid, `source` finds the files of the requested workloads.
"""

from gpuwise.sources.recording.source import RecordedUsage
from gpuwise.sources.recording.writer import RecordingWriter

__all__ = ["RecordedUsage", "RecordingWriter"]
