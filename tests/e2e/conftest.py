"""The command line as a user runs it: a process, its two streams, its exit code."""

import json
import os
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

import pytest
from tests.cluster_under_test import KUBECONFIG, NAMESPACE
from tests.prometheus_server import start_prometheus

from gpuwise.cli import main
from gpuwise.emulate.objects import node

__all__ = ["start_prometheus"]

LEAD = "GPUWISE_LEAD_NAMESPACE"
"""Environment variable: namespace of the Lease. The tests' namespace exists on the emulator and on a real cluster."""
AT_ONCE = {
    "GPUWISE_ENACT_MIN_ALIVE_S": "0",
    "GPUWISE_RECOMMEND_IDLE_AFTER_H": '{"endpoint": 0, "notebook": 0, "batch": 0, "training": 0}',
}
"""Environment where a test's series are days old and its pods were started a moment ago."""
GPUWISE = Path(sys.executable).with_name("gpuwise")
OURS = ("GPUWISE_", "RAY_", "KUBECONFIG")


@dataclass(frozen=True)
class Done:
    code: int
    out: str
    err: str

    @property
    def data(self):
        assert self.code == 0, self.err
        return json.loads(self.out)


@pytest.fixture
def gpuwise(tmp_path, monkeypatch, capsys):
    """Run `gpuwise ...` with its own ledger and without outside configuration; a variable that is None is unset.

    It calls the entry point in the process of the test, because a process takes a second of CPU time to start.
    """
    for name in [name for name in os.environ if name.startswith(OURS)]:
        monkeypatch.delenv(name)
    for name, value in _own(tmp_path).items():
        monkeypatch.setenv(name, value)

    def run(*arguments, env=None) -> Done:
        with monkeypatch.context() as patched:
            for name, value in (env or {}).items():
                patched.delenv(name, raising=False) if value is None else patched.setenv(name, value)
            patched.setattr(sys, "argv", ["gpuwise", *map(str, arguments)])
            with pytest.raises(SystemExit) as ended:
                main()
        return Done(ended.value.code, *capsys.readouterr())

    return run


@pytest.fixture
def gpuwise_process(tmp_path):
    """As `gpuwise`, in a process of its own: for KUBECONFIG, which the client reads once, for Ray, and for signals."""

    def run(*arguments, env=None, timeout_s=600) -> Done:
        inherited = {k: v for k, v in os.environ.items() if not k.startswith(OURS)}
        done = subprocess.run(
            [GPUWISE, *map(str, arguments)],
            env={
                name: value for name, value in (inherited | _own(tmp_path) | (env or {})).items() if value is not None
            },
            capture_output=True,
            text=True,
            check=False,
            timeout=timeout_s,
            stdin=subprocess.DEVNULL,
        )
        return Done(done.returncode, done.stdout, done.stderr)

    return run


def _own(folder: Path) -> dict[str, str]:
    own = {"HOME": str(folder), "GPUWISE_LEDGER_PATH": str(folder / "ledger.db"), LEAD: NAMESPACE}
    return own if KUBECONFIG is None else AT_ONCE | own  # the emulator's pods are as old as a test wants


def gpu_node(name, product="NVIDIA-A100-SXM4-80GB", capacity="on-demand", **more):
    labels = {"nvidia.com/gpu.product": product, "nvidia.com/gpu.count": "8", "karpenter.sh/capacity-type": capacity}
    return node(name, labels=labels, **more)


def of_namespace(name, **labels):
    return {"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": name, "labels": labels}}
