"""Scoring on Ray nodes with file systems and links of their own, as a user starts it: `gpuwise scan --ray-address`."""

import os
import shutil
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest
from tests.ray_nodes import NEEDS_NAMESPACES, RayNodes, ray_nodes, stop, wait_for
from tests.recordings import NOW_S, record_fleet

import gpuwise

pytestmark = [NEEDS_NAMESPACES, pytest.mark.parts, pytest.mark.xdist_group("ray")]

PACKAGE = Path(gpuwise.__file__).parent
_PROCESSES = ("gpuwise.schedule.driver", "ray::", "raylet", "gcs_server")
SECRET = "a-write-credential-4711"


@dataclass
class Found:
    code: int
    out: str
    err: str


@pytest.fixture(scope="module")
def recording(tmp_path_factory) -> Path:
    folder = tmp_path_factory.mktemp("recording")
    record_fleet(folder, nodes=6, days=2)
    return folder


@pytest.fixture(scope="module")
def cluster(tmp_path_factory) -> Iterator[RayNodes]:
    """A head that runs no work, and a node "left" that shares all files with it."""
    with ray_nodes(tmp_path_factory.mktemp("ray")) as found, found.joined("left"):
        yield found


def scan(recording: Path, tmp_path: Path, *more: str, env: dict[str, str] | None = None) -> subprocess.Popen[str]:
    command = [
        str(Path(sys.executable).with_name("gpuwise")),
        "scan",
        "-o",
        "json",
        "--now",
        str(NOW_S),
        "--recording",
        str(recording),
    ]
    command += ["--ledger", str(tmp_path / f"{len(list(tmp_path.iterdir()))}.db"), *more]
    return subprocess.Popen(
        command, env=env or dict(os.environ), stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    )


def ended(process: subprocess.Popen[str], timeout_s: float = 240.0) -> Found:
    out, err = process.communicate(timeout=timeout_s)
    return Found(process.returncode, out, err)


def on(cluster: RayNodes, recording: Path, tmp_path: Path, **settings: str) -> subprocess.Popen[str]:
    env = cluster.environment | {f"GPUWISE_SCHEDULE_{key.upper()}": value for key, value in settings.items()}
    return scan(recording, tmp_path, "--ray-address", cluster.address, env=env)


@pytest.fixture(scope="module")
def here(recording, tmp_path_factory) -> str:
    found = ended(scan(recording, tmp_path_factory.mktemp("local")))
    assert found.code == 0, found.err
    return found.out


def copied(of: Path, to: Path) -> Path:
    shutil.copytree(of, to, ignore=shutil.ignore_patterns("__pycache__"))
    return to


def test_a_node_with_files_of_its_own_takes_part_and_the_result_is_that_of_one_process(
    cluster, recording, here, tmp_path
):
    with cluster.joined("right", {recording: copied(recording, tmp_path / "copy")}):
        found = ended(on(cluster, recording, tmp_path))
    assert (found.code, found.out) == (0, here), found.err
    assert "warning" not in found.err


def test_a_node_with_another_gpuwise_gets_no_work_and_is_named(cluster, recording, here, tmp_path):
    other = copied(PACKAGE, tmp_path / "other-gpuwise")
    (other / "__init__.py").write_text((other / "__init__.py").read_text() + "\n# another build\n")
    with cluster.joined("right", {PACKAGE: other}):
        found = ended(on(cluster, recording, tmp_path))
    assert (found.code, found.out) == (0, here), found.err
    assert "warning: Ray: node right" in found.err
    assert "build" in found.err


def test_a_node_with_a_part_of_the_recording_gets_no_work_and_is_named(cluster, recording, here, tmp_path):
    part = copied(recording, tmp_path / "part")
    for file in sorted(part.rglob("*.parquet"))[::2]:
        file.unlink()
    with cluster.joined("right", {recording: part}):
        found = ended(on(cluster, recording, tmp_path))
    assert (found.code, found.out) == (0, here), found.err
    assert "warning: Ray: node right" in found.err
    assert "recording" in found.err


def test_a_link_that_is_cut_while_it_works_costs_time_and_nothing_else(cluster, recording, here, tmp_path):
    with cluster.joined("right") as right:
        process = on(cluster, recording, tmp_path, item_timeout_s="5", timeout_s="240")
        wait_for("work", lambda: cluster.processes("ray::Dispatcher"))
        right.cut()
        found = ended(process)
    assert (found.code, found.out) == (0, here), found.err


@pytest.mark.parametrize(
    "kind", ["ray::Dispatcher", "ray::run", "ray::probe", "raylet/raylet", "gpuwise.schedule.driver"]
)
def test_a_process_of_ray_that_is_killed_costs_nothing_or_one_line(cluster, recording, here, tmp_path, kind):
    """The result is that of one process, or an error: never a part of the result, and stdout has nothing else."""
    with cluster.joined("right") as right:
        process = on(cluster, recording, tmp_path, item_timeout_s="20", timeout_s="240")
        if kind == "raylet/raylet":
            wait_for("work", lambda: cluster.processes("ray::Dispatcher"))
            victims = cluster.processes(kind, of=right.process.pid)
            victims = [pid for pid in victims if right.holds(pid)]
        else:
            victims = wait_for(f"the start of {kind}", lambda: cluster.processes(kind, of=process.pid))
        stop(victims[-1])
        found = ended(process)
    assert "Traceback" not in found.err
    if kind == "gpuwise.schedule.driver":
        assert (found.code, found.out) == (1, "")
        assert "the connection to Ray" in found.err
    else:
        assert (found.code, found.out) == (0, here), found.err


def test_a_head_that_is_killed_is_one_line(recording, tmp_path):
    with ray_nodes(tmp_path) as alone, alone.joined("left"):
        process = on(alone, recording, tmp_path, timeout_s="120")
        wait_for("work", lambda: alone.processes("ray::Dispatcher"))
        stop(alone.processes("gcs_server")[0])
        found = ended(process)
    assert (found.code, found.out) == (1, "")
    assert "Traceback" not in found.err
    assert len([line for line in found.err.splitlines() if "Ray" in line]) == 1, found.err


def test_without_a_node_that_agrees_it_is_one_line_that_names_them(recording, tmp_path):
    nothing = tmp_path / "nothing"
    nothing.mkdir()
    with ray_nodes(tmp_path) as alone, alone.joined("left", {recording: nothing}):
        found = ended(on(alone, recording, tmp_path))
    assert (found.code, found.out) == (1, "")
    [line] = [line for line in found.err.splitlines() if "left" in line]
    assert "is not a recording" in line


def test_no_process_of_ray_has_a_write_credential(cluster, recording, tmp_path):
    """Neither the environment nor the open files nor the arguments of any process of Ray name it."""
    kubeconfig = tmp_path / "kubeconfig-with-rights"
    kubeconfig.write_text(SECRET)
    env = cluster.environment | {"KUBECONFIG": str(kubeconfig), "GPUWISE_KUBERNETES_CONTEXT": SECRET, "TOKEN": SECRET}
    process = scan(recording, tmp_path, "--ray-address", cluster.address, env=env)
    wait_for("the dispatcher's start", lambda: cluster.processes("ray::Dispatcher"))
    looked = 0
    for pid in {pid for text in _PROCESSES for pid in cluster.processes(text, of=process.pid)}:
        folder = Path(f"/proc/{pid}")
        try:
            text = (folder / "environ").read_bytes() + (folder / "cmdline").read_bytes()
            files = [os.readlink(one) for one in (folder / "fd").iterdir()]  # noqa: PTH115 - of a descriptor
        except OSError:
            continue  # it has ended
        looked += 1
        assert SECRET.encode() not in text
        assert str(kubeconfig).encode() not in text
        assert str(kubeconfig) not in files
        assert not any("ledger" in one or one.endswith(".db") for one in files)
    assert looked >= 4
    assert ended(process).code == 0
