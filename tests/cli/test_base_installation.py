"""gpuwise installed without the extra `fleet`, as on a GPU node."""

import json
import subprocess
import urllib.request
from pathlib import Path

import pytest
from tests.base_environment import BaseEnvironment, base_environment
from tests.prometheus_server import free_port, poll

from gpuwise.cli.commands import COMMANDS

pytestmark = [pytest.mark.parts, pytest.mark.xdist_group("base_installation")]
MOST_MIB = 120
FLEET = ("ray", "scipy", "numpy", "pyarrow", "kubernetes", "grpc", "pandas", "google.protobuf", "pydantic", "rich")
FOUND = """
import importlib.util, json, sys
def found(name):
    try:
        return importlib.util.find_spec(name) is not None
    except ModuleNotFoundError:  # of the package that it is in
        return False
print(json.dumps([name for name in sys.argv[1:] if found(name)]))
"""


@pytest.fixture(scope="module")
def base(tmp_path_factory: pytest.TempPathFactory) -> BaseEnvironment:
    return base_environment(tmp_path_factory.mktemp("base"))


def run(base: BaseEnvironment, *command: str | Path) -> "subprocess.CompletedProcess[str]":
    return subprocess.run(command, capture_output=True, text=True, check=False, timeout=300, cwd=base.folder)


def test_nothing_of_the_fleet_is_in_it(base: BaseEnvironment):
    found = run(base, base.folder / "bin" / "python", "-c", FOUND, *FLEET, "gpuwise", "h2", "pynvml")
    assert json.loads(found.stdout) == ["gpuwise", "h2", "pynvml"]


def test_it_is_small(base: BaseEnvironment):
    assert 1 < base.installed_mib <= MOST_MIB


def test_the_exporter_serves_its_demo(base: BaseEnvironment):
    port = free_port()

    def page() -> str:
        try:
            with urllib.request.urlopen(f"http://127.0.0.1:{port}/metrics", timeout=60) as response:
                return response.read().decode()
        except OSError:
            return ""

    command = [base.gpuwise, "exporter", "--backend", "demo", "--listen", f"127.0.0.1:{port}", "--interval", "0.1"]
    with subprocess.Popen(command, stderr=subprocess.PIPE, text=True, cwd=base.folder) as process:
        try:
            poll(lambda: "gpuwise_container_gpu_power_watts{" in page(), what="the demo's metrics")
        finally:
            process.terminate()
            _, printed = process.communicate(timeout=300)
    assert (process.returncode, printed) == (0, "")


@pytest.mark.parametrize("command", sorted(COMMANDS.keys() - {"exporter"}))
def test_every_other_command_says_what_to_install(base: BaseEnvironment, command: str):
    done = run(base, base.gpuwise, command)
    assert (done.returncode, done.stdout) == (1, "")
    assert done.stderr.startswith(f"error: `gpuwise {command}` needs packages that are not installed")
    assert done.stderr.endswith("; install 'gpuwise[fleet]'\n")
    assert done.stderr.count("\n") == 1


def test_help_and_version_need_nothing_else(base: BaseEnvironment):
    for flag in ("--help", "--version"):
        done = run(base, base.gpuwise, flag)
        assert (done.returncode, done.stderr) == (0, "")
