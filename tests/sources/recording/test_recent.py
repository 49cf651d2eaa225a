"""The last day of many pods in one file gives what the pods' own files give, as long as these are unchanged."""

import os
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from tests.sources.recording.test_recording import NOW, device, inventory, workload

from gpuwise.model.errors import SourceError
from gpuwise.model.inventory import Node
from gpuwise.model.signal import Signal
from gpuwise.model.usage import DAY_S, RecordedPod, UsageSeries, Window
from gpuwise.sources.recording import RecordedUsage, RecordingWriter

END_S = NOW // DAY_S * DAY_S + 6 * 3_600
WHOLE = Window(END_S - 2 * DAY_S, END_S, 60)
LAST_HOUR = Window(END_S - 3_600, END_S, 60)
NODE = Node("node-9", None, "", 8, {}, None, None)


def series(seed: int, present: float = 1.0) -> np.ndarray:
    random = np.random.default_rng(seed)
    return np.where(random.random(WHOLE.steps) < present, random.random(WHOLE.steps), np.nan)


def pods(count: int) -> list[RecordedPod]:
    """Pods with two devices of different signals, with rows missing here and there, one with requests, one dead."""
    found = []
    for number in range(count):
        name = f"web-{number}"
        first = device(name, series(number, 0.9 if number % 3 else 1.0), uuid=f"GPU-{2 * number}")
        second = device(name, series(1_000 + number) * 300.0, uuid=f"GPU-{2 * number + 1}", signal=Signal.POWER)
        requests = series(2_000 + number) if number % 5 == 0 else None
        found.append(RecordedPod("team", WHOLE, (first, second), requests))
    dead = np.where(np.arange(WHOLE.steps) < 600, 0.5, np.nan)
    return [*found, RecordedPod("team", WHOLE, (device("web-dead", dead, uuid="GPU-dead"),))]


def recorded(folder: Path, count: int = 3) -> RecordedUsage:
    with RecordingWriter(folder) as writer:
        for pod in pods(count):
            writer.append(pod)
        writer.append(RecordedPod("", WHOLE, (replace(device("", series(7), uuid="GPU-free"), node="node-9"),)))
    return RecordedUsage(folder)


def read(usage: RecordedUsage, window: Window, count: int = 3) -> list[UsageSeries]:
    targets = [workload(f"web-{number}", "Pod", (f"web-{number}",)) for number in range(count)]
    targets.append(workload("web-dead", "Pod", ("web-dead",)))
    return [*usage.read(targets, inventory(*targets), window), *usage.read_nodes([NODE], inventory(), window)]


def assert_equal(found: list[UsageSeries], expected: list[UsageSeries]) -> None:
    for one, other in zip(found, expected, strict=True):
        for name in ("requests_per_second", "scraped_requests"):
            np.testing.assert_array_equal(getattr(one, name), getattr(other, name))
        for first, second in zip(one.devices, other.devices, strict=True):
            assert replace(first, samples={}) == replace(second, samples={})
            assert list(first.samples) == list(second.samples)
            for signal, values in first.samples.items():
                assert values.dtype == second.samples[signal].dtype
                np.testing.assert_array_equal(values, second.samples[signal])


def without(usage: RecordedUsage) -> RecordedUsage:
    """The same recording without the folder."""
    (usage.directory / "recent").rename(usage.directory / "other")
    return usage


def make_unreadable(path: Path) -> None:
    """Replace a file's content, but neither its size nor its time."""
    before = path.stat()
    path.write_bytes(b"x" * before.st_size)
    os.utime(path, ns=(before.st_atime_ns, before.st_mtime_ns))


@pytest.mark.parametrize(
    "window",
    [LAST_HOUR, replace(LAST_HOUR, step_s=300), Window(END_S - 6 * 3_600, END_S, 60), Window(END_S, END_S + 3_600, 60)],
)
def test_a_window_on_the_last_day_is_read_as_from_the_pods_files(tmp_path, window):
    usage = recorded(tmp_path, 70)  # more devices than one file has
    assert len(list((tmp_path / "recent").glob("*/*.parquet"))) > 1
    found = read(usage, window, 70)
    assert_equal(found, read(without(usage), window, 70))
    assert any(one.devices for one in found) == (window.start_s < END_S)


def test_the_pods_files_are_not_opened(tmp_path):
    usage = recorded(tmp_path)
    expected = read(usage, LAST_HOUR)
    for path in usage.directory.glob("usage/*/*.parquet"):
        make_unreadable(path)
    assert_equal(read(usage, LAST_HOUR), expected)
    with pytest.raises(SourceError):
        read(usage, WHOLE)


def test_a_window_that_begins_earlier_is_read_from_the_pods_files(tmp_path):
    usage = recorded(tmp_path)
    for path in (tmp_path / "recent").glob("*/*.parquet"):
        path.write_bytes(b"")
    found = read(usage, WHOLE)
    assert_equal(found, read(without(usage), WHOLE))
    assert all(one.devices for one in found)


@pytest.mark.parametrize("newer_s", [0, 60])
def test_a_file_that_changed_since_is_read_itself(tmp_path, newer_s):
    usage = recorded(tmp_path)
    path = tmp_path / "usage" / "team" / "web-1.parquet"
    before = path.stat()
    if newer_s:
        make_unreadable(path)  # the size is the same
    else:
        path.write_bytes(b"")
    os.utime(path, ns=(before.st_atime_ns, before.st_mtime_ns + newer_s * 10**9))
    with pytest.raises(SourceError, match="web-1"):
        read(usage, LAST_HOUR)


def test_a_pod_without_a_file_is_not_there(tmp_path):
    usage = recorded(tmp_path)
    (tmp_path / "usage" / "team" / "web-1.parquet").unlink()
    assert [bool(one.devices) for one in read(usage, LAST_HOUR)] == [True, False, True, False, True]


@pytest.mark.parametrize("damage", [b"", b"PAR1", None])
def test_a_damaged_copy_is_not_used(tmp_path, damage):
    usage = recorded(tmp_path)
    expected = read(usage, LAST_HOUR)
    for path in (tmp_path / "recent").glob("*/*.parquet"):
        path.write_bytes(path.read_bytes()[:-20] if damage is None else damage)
        os.utime(path.parent)  # as if the folder had been written again
    assert_equal(read(usage, LAST_HOUR), expected)


def test_a_recording_written_in_its_place_is_read(tmp_path):
    read(recorded(tmp_path / "first"), LAST_HOUR)
    (tmp_path / "first").rename(tmp_path / "old")
    with RecordingWriter(tmp_path / "first") as writer:
        for pod in pods(3):
            writer.append(replace(pod, devices=pod.devices[:1]))
    found = read(RecordedUsage(tmp_path / "first"), LAST_HOUR)
    assert [len(one.devices) for one in found] == [1, 1, 1, 0, 0]
