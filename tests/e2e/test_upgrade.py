"""An upgrade and a rollback with unchanged inputs (I20): the earlier version acts, this one and the earlier one do not.

The earlier version is the newest tag, or the commit of GPUWISE_UPGRADE_FROM; it is built and installed from there.
"""

import json
import os
import subprocess
import sys

import numpy as np
import pytest
from kubernetes import client, config
from tests.api_requests import effects
from tests.conftest import REPOSITORY
from tests.e2e.conftest import OURS, gpu_node, of_namespace
from tests.series import IDLE_VALUES

from gpuwise.emulate.objects import deployment
from gpuwise.model.usage import DeviceSeries, RecordedPod, Window
from gpuwise.sources.recording import RecordingWriter

pytestmark = pytest.mark.parts

NOW_S = 1_780_272_000
WINDOW = Window(NOW_S - 8 * 86_400, NOW_S, 300)


def commit() -> str:
    """The version before this one."""
    tag = subprocess.run(
        ["git", "describe", "--tags", "--abbrev=0", "HEAD^"],
        cwd=REPOSITORY,
        capture_output=True,
        text=True,
        check=False,
    )
    found = os.environ.get("GPUWISE_UPGRADE_FROM") or tag.stdout.strip()
    return found or pytest.skip("no earlier version: there is no tag yet, and GPUWISE_UPGRADE_FROM names no commit")


@pytest.fixture(scope="module")
def earlier(tmp_path_factory):
    """Folder with the installed package of the earlier version."""
    folder, chosen = tmp_path_factory.mktemp("earlier"), commit()
    (folder / "source").mkdir()
    packed = subprocess.run(["git", "archive", chosen], cwd=REPOSITORY, capture_output=True, check=True).stdout
    subprocess.run(["tar", "-x", "-C", folder / "source"], input=packed, check=True)
    uv = [sys.executable.replace("python", "uv"), "pip", "install", "--python", sys.executable, "--quiet", "--no-deps"]
    constraints = ["--build-constraint", REPOSITORY / ".ci" / "constraints.txt"]
    subprocess.run([*uv, *constraints, "--target", folder / "installed", folder / "source"], check=True, timeout=600)
    return folder / "installed"


def pods(kubeconfig):
    with config.new_client_from_config(str(kubeconfig)) as api:
        return [pod.metadata.name for pod in client.CoreV1Api(api).list_namespaced_pod("prod").items]


@pytest.fixture
def fleet(start_cluster, tmp_path):
    """A cluster with an idle endpoint, and the options that read it."""
    now = {"s": WINDOW.start_s}
    objects = [gpu_node("node-0"), of_namespace("prod"), deployment("forgotten", namespace="prod", replicas=2)]
    with start_cluster(objects, clock=lambda: float(now["s"])) as cluster:
        kubeconfig = cluster.write_kubeconfig(tmp_path / "kubeconfig")
        writer = RecordingWriter(tmp_path / "recording")
        for number, name in enumerate(pods(kubeconfig)):
            samples = {signal: np.full(WINDOW.steps, value) for signal, value in IDLE_VALUES.items()}
            card = DeviceSeries(name, f"GPU-{number}", 1.0, "A100-80GB", "node-0", samples)
            writer.append(RecordedPod("prod", WINDOW, (card,), None))
        now["s"] = NOW_S
        yield cluster, ("--recording", tmp_path / "recording", "--kubeconfig", kubeconfig, "--look-back-h", 8 * 24)


@pytest.fixture
def version(tmp_path):
    """Run `gpuwise ...` of a version: a process with its folder first on the path, and one ledger for all."""

    def run(folder, *arguments):
        inherited = {name: value for name, value in os.environ.items() if not name.startswith(OURS)}
        own = {"HOME": str(tmp_path), "GPUWISE_LEDGER_PATH": str(tmp_path / "ledger.db"), "PYTHONPATH": str(folder)}
        command = [sys.executable, "-c", "from gpuwise.cli import main; main()", *map(str, arguments)]
        return subprocess.run(
            command, env=inherited | own, capture_output=True, text=True, check=False, timeout=600, cwd=tmp_path
        )

    return run


def test_i20_an_upgrade_and_a_rollback_act_on_nothing(fleet, earlier, version, tmp_path):
    cluster, options = fleet
    newer = REPOSITORY / "src"

    def ids(folder):
        aside = ("--ledger", tmp_path / f"{folder.name}.db")  # a newer version migrates the ledger that it opens
        done = version(folder, "scan", *options, *aside, "--now", NOW_S, "-o", "json")
        return [one["id"] for one in json.loads(done.stdout)["recommendations"]]

    def acted(folder):
        """How many writes a pass sends, and how it ends."""
        before = sum(map(effects, cluster.requests))
        done = version(folder, "run", "--once", "--mode", "enforce", *options, "--now", NOW_S)
        cluster.settle()
        return sum(map(effects, cluster.requests)) - before, done

    assert ids(earlier) == ids(newer) != []  # asked before anything is stopped
    first, done = acted(earlier)
    assert first > 0, done.stderr
    upgraded, done = acted(newer)
    assert (upgraded, done.returncode) == (0, 0), done.stderr
    rolled_back, done = acted(earlier)
    assert rolled_back == 0
    # It refuses a ledger that the newer version has migrated.
    assert done.returncode == 0 or "this version of gpuwise knows" in done.stderr, done.stderr
