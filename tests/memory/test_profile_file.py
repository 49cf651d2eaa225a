"""The profiles of a pass in a file: equal to what was scored, one shard in memory, and nothing left on the disk."""

import os
import resource
import signal
import subprocess
import sys
import tempfile
from dataclasses import replace
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tests.series import WORKLOAD, device, usage
from tests.usages import same, usages

from gpuwise.memory.profile_file import ProfileFile
from gpuwise.model.billed import ScoredUse
from gpuwise.model.errors import InputError
from gpuwise.model.inventory import WorkloadRef
from gpuwise.model.packed import pack, unpack, unpack_billed
from gpuwise.score.profile import score_series
from gpuwise.score.settings import ScoreSettings

needs_proc = pytest.mark.skipif(not Path("/proc/self/fd").exists(), reason="needs /proc, which Linux has")


@st.composite
def shards(draw):
    """Profiles of a few workloads, in shards of one to three."""
    scored = [score_series(draw(usages()), ScoreSettings()) for _ in range(draw(st.integers(1, 3)))]
    named = [replaced(one, f"w{number}") for number, one in enumerate(scored)]
    size = draw(st.integers(1, 3))
    return [named[at : at + size] for at in range(0, len(named), size)]


def replaced(one, name):
    ref = WorkloadRef("apps", "Deployment", name, f"uid-{name}")
    return ScoredUse(replace(one.profile, workload=ref), replace(one.billed, workload=ref))


@settings(max_examples=40)
@given(shards())
def test_profiles_are_read_as_they_were_scored(scored):
    every = [one for shard in scored for one in shard]
    stored = ProfileFile()
    for shard in scored:
        stored.add(pack(shard))
    assert [*stored] == [*stored.billed] == [one.profile.workload for one in every]
    assert same(tuple(stored.values()), tuple(one.profile for one in every))
    backwards = [one.profile for one in reversed(every)]
    assert same(tuple(stored[one.workload] for one in backwards), tuple(backwards))
    assert same(tuple(stored.billed.values()), tuple(one.billed for one in every))
    assert WORKLOAD not in stored
    assert stored.get(WORKLOAD) is stored.billed.get(WORKLOAD) is None


@settings(max_examples=20)
@given(usages())
def test_packing_keeps_every_field(series):
    one = score_series(series, ScoreSettings())
    packed = pack([one])
    assert same(unpack(packed.profiles, packed.workloads)[0], one.profile)
    assert same(unpack_billed(packed.billed, packed.workloads)[0], one.billed)


def some_profiles(count=1):
    one = score_series(usage(device(2_000)), ScoreSettings())
    return [replaced(one, f"w{number}") for number in range(count)]


def open_files(folder: Path) -> list[str]:
    """The nameless files of this process in a folder."""
    links = (str(one.readlink()) for one in Path("/proc/self/fd").iterdir() if one.is_symlink())
    return [link for link in links if link.startswith(f"{folder}/")]


@needs_proc
def test_the_file_is_freed_with_the_last_reference(tmp_path, monkeypatch):
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    stored = ProfileFile()
    stored.add(pack(some_profiles()))
    billed = stored.billed
    del stored
    assert len(open_files(tmp_path)) == 1
    assert len(list(billed.values())) == 1
    assert [*tmp_path.iterdir()] == []
    del billed
    assert open_files(tmp_path) == []


CHILD = """
import os, signal, sys, tempfile
from tests.memory.test_profile_file import open_files, some_profiles
from gpuwise.memory.profile_file import ProfileFile
from gpuwise.model.packed import pack
stored = ProfileFile()
stored.add(pack(some_profiles()))
print(*open_files(tempfile.gettempdir()), flush=True)
{end}
"""
ENDS = {
    "normal": ("pass", 0),
    "an error": ("raise ZeroDivisionError", 1),
    "SIGTERM": ("os.kill(os.getpid(), signal.SIGTERM)", -signal.SIGTERM),
    "SIGKILL": ("os.kill(os.getpid(), signal.SIGKILL)", -signal.SIGKILL),
}


@needs_proc
@pytest.mark.parametrize(("end", "status"), ENDS.values(), ids=ENDS)
def test_nothing_is_left_however_the_process_ends(tmp_path, end, status):
    done = subprocess.run(
        [sys.executable, "-c", CHILD.format(end=end)],
        env=os.environ | {"TMPDIR": str(tmp_path), "PYTHONPATH": str(Path(__file__).parents[2])},
        capture_output=True,
        text=True,
        check=False,
        timeout=120,
    )
    assert done.stdout.startswith(f"{tmp_path}/"), done.stderr
    assert done.returncode == status
    assert [*tmp_path.iterdir()] == []


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="needs /dev/full, which Linux has")
def test_a_full_disk_is_an_error_with_the_folder_and_a_hint(tmp_path, monkeypatch):
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    with Path("/dev/full").open("r+b", buffering=0) as full:
        monkeypatch.setattr(tempfile, "TemporaryFile", lambda **_: full)
        with pytest.raises(InputError) as raised:
            ProfileFile().add(pack(some_profiles()))
    text = str(raised.value)
    assert text.startswith(f"cannot keep the usage profiles in {tmp_path}: No space left on device; free space there")
    assert "TMPDIR" in text
    assert "\n" not in text


def test_a_disk_that_becomes_full_within_a_shard_is_an_error(tmp_path, monkeypatch):
    """The system first writes what fits; a limit of the file's size does the same as a disk that is full."""
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    stored, packed = ProfileFile(), pack(some_profiles(4))
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (len(packed.profiles) // 2, hard))
    try:
        with pytest.raises(InputError, match=r"cannot keep the usage profiles in .*: File too large"):
            stored.add(packed)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
    assert len(stored) == 0
    stored.add(packed)
    assert same(tuple(stored.values()), tuple(one.profile for one in some_profiles(4)))


def test_without_a_folder_for_temporary_files_the_error_has_a_hint(monkeypatch):
    def none() -> str:
        raise FileNotFoundError(2, "No usable temporary directory found in ['/tmp', '/var/tmp']")

    monkeypatch.setattr(tempfile, "gettempdir", none)
    with pytest.raises(InputError, match=r"No usable temporary directory found in .*; .*set TMPDIR"):
        ProfileFile()
