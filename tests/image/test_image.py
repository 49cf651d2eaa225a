"""The images that `make image` builds: their content, and the exporter and the service in their root file systems."""

import json
import os
import re
import shutil
import subprocess
import tarfile
import urllib.error
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
import yaml
from tests.conftest import REPOSITORY
from tests.helm.conftest import REQUIRED, Helm, fetch, of_kind, pod_of
from tests.prometheus_server import free_port, poll
from tests.recordings import record_fleet

from gpuwise import __version__

MISSING = [tool for tool in ("buildah", "mmdebstrap") if not shutil.which(tool)]
pytestmark = [
    pytest.mark.parts,
    pytest.mark.xdist_group("image"),
    pytest.mark.skipif(bool(MISSING), reason=f"not installed: apt-get install {' '.join(MISSING)}"),
    pytest.mark.skipif(os.geteuid() != 0, reason="starts the service in a root file system, which needs root: chroot"),
]
USER = 65532
# Writable by the user in a pod: the claim by fsGroup, an emptyDir by its mode.
WRITABLE = ("/var/lib/gpuwise", "/tmp")
MOUNTED = ("/etc/gpuwise", "/recording")


@dataclass(frozen=True)
class Image:
    """An unpacked image.

    Attributes:
        root: its root file system.
        config: entry point, user, environment and so on, as OCI has it.
    """

    root: Path
    config: dict[str, Any]

    @contextmanager
    def running(self, command: list[str], mounts: dict[str, Path], **more: Any) -> Iterator["subprocess.Popen[str]"]:
        """Run a command with the chart's security context: on a read-only root, as the image's user."""
        binds = "".join(f"mount --bind {source} {self.root}{place}\n" for place, source in mounts.items())
        script = (
            f"set -e\nmount --make-rprivate /\nmount --bind {self.root} {self.root}\n"
            f"mount -o remount,bind,ro {self.root}\nmount -t proc proc {self.root}/proc\n{binds}"
            f'exec chroot --userspec={USER}:{USER} {self.root} /usr/bin/env -i "$@"'
        )
        env = [*self.config["Env"], *(f"{name}={value}" for name, value in more.items())]
        wrapped = ["unshare", "--mount", "sh", "-c", script, "sh", *env, *command]
        with subprocess.Popen(wrapped, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True) as process:
            try:
                yield process
            finally:
                process.terminate()

    def run(self, command: list[str], mounts: dict[str, Path], **more: Any) -> str:
        with self.running(command, mounts, **more) as process:
            output, _ = process.communicate(timeout=300)
        assert process.returncode == 0, output
        return output


@pytest.fixture(scope="session")
def built() -> Path:
    """The folder with the archives that `make image` wrote."""
    done = subprocess.run(["make", "image"], cwd=REPOSITORY, capture_output=True, text=True, check=False, timeout=1_800)
    assert done.returncode == 0, done.stdout[-4_000:] + done.stderr[-4_000:]
    return REPOSITORY / "build"


def unpacked(path: Path, folder: Path) -> Image:
    """Unpack an image from its archive, layer by layer."""
    with tarfile.open(path) as archive:
        archive.extractall(folder / "oci", filter="fully_trusted")

    def blob(descriptor: dict[str, Any]) -> Path:
        return folder / "oci" / "blobs" / descriptor["digest"].replace(":", "/")

    (entry,) = json.loads((folder / "oci" / "index.json").read_text())["manifests"]
    manifest = json.loads(blob(entry).read_text())
    root = folder / "root"
    root.mkdir()
    for layer in manifest["layers"]:
        subprocess.run(["tar", "-xzf", blob(layer), "-C", root], check=True, timeout=600)
    for place in (*WRITABLE, *MOUNTED):
        (root / place.lstrip("/")).mkdir(parents=True, exist_ok=True)  # the container runtime creates mount points
    return Image(root, json.loads(blob(manifest["config"]).read_text())["config"])


@pytest.fixture(scope="session")
def image(built: Path, tmp_path_factory: pytest.TempPathFactory) -> Image:
    """The image of the service."""
    return unpacked(built / "gpuwise-image.tar", tmp_path_factory.mktemp("image"))


@pytest.fixture(scope="session")
def exporter_image(built: Path, tmp_path_factory: pytest.TempPathFactory) -> Image:
    """The image of the exporter."""
    return unpacked(built / "gpuwise-exporter-image.tar", tmp_path_factory.mktemp("exporter-image"))


@pytest.fixture(scope="session", params=["image", "exporter_image"])
def each(request: pytest.FixtureRequest) -> Image:
    """Each image."""
    return request.getfixturevalue(request.param)


@pytest.fixture
def mounts(tmp_path: Path) -> dict[str, Path]:
    """An empty folder for each volume; the writable ones belong to the user."""
    folders = {place: tmp_path / place.replace("/", "-") for place in (*WRITABLE, *MOUNTED)}
    for place, folder in folders.items():
        folder.mkdir()
        if place in WRITABLE:
            os.chown(folder, USER, USER)
    return folders


def test_it_is_debian_with_gpuwise_and_without_build_tools_or_installers(each: Image):
    assert "VERSION_CODENAME=bookworm" in (each.root / "etc/os-release").read_text()
    assert each.config["User"] == f"{USER}:{USER}"
    assert each.config["Entrypoint"] == ["gpuwise"]
    assert each.config["Labels"]["org.opencontainers.image.version"] == __version__
    packages = (each.root / "var/lib/dpkg/status").read_text()  # vulnerability scanners read this file
    assert "\nPackage: libssl3\n" in packages
    assert not re.search(r"^Package: (gcc|python3-pip|python3-dev)$", packages, re.MULTILINE)
    (site,) = (each.root / "opt/gpuwise/lib").glob("python3.*/site-packages")
    assert not (site / "pip").exists()
    assert not (each.root / "src").exists()


def test_its_native_code_is_compiled(image: Image, mounts: dict[str, Path]):
    modules = ("score._hours_c", "sources.prometheus._chunks_c", "recommend.engines.node_underutilised._choose_c")
    image.run(["python", "-c", "import " + ", ".join(f"gpuwise.{module}" for module in modules)], mounts)


def test_it_runs_as_its_user_on_a_read_only_file_system(each: Image, mounts: dict[str, Path]):
    assert __version__ in each.run([*each.config["Entrypoint"], "--version"], mounts)
    printed = each.run(
        ["python", "-c", "import os; print(os.getuid(), os.getgid(), os.access('/opt', os.W_OK))"], mounts
    )
    assert printed.split() == [str(USER), str(USER), "False"]


def get(url: str, token: str | None = None) -> tuple[int, str]:
    request = urllib.request.Request(url, headers={"Authorization": f"Bearer {token}"} if token else {})
    try:
        with urllib.request.urlopen(request, timeout=30) as answer:
            return answer.status, answer.read().decode()
    except urllib.error.HTTPError as error:
        with error:
            return error.code, ""
    except OSError:
        return 0, ""


def alive(process: "subprocess.Popen[str]", url: str) -> bool:
    if process.poll() is not None:
        assert process.stdout is not None
        pytest.fail(f"it ended with {process.returncode}: {process.stdout.read()}")
    return get(url)[0] == 200


def test_the_image_of_the_exporter_has_only_what_the_exporter_needs(
    exporter_image: Image, image: Image, mounts: dict[str, Path]
):
    assert exporter_image.config["Cmd"] == ["exporter"]
    for one, has_fleet in ((exporter_image, False), (image, True)):
        (site,) = (one.root / "opt/gpuwise/lib").glob("python3.*/site-packages")
        names = {path.name for path in site.iterdir()}
        assert {"gpuwise", "h2", "pynvml.py"} <= names
        fleet = {"ray", "grpc", "scipy", "numpy", "pyarrow", "kubernetes", "fastapi", "rich"}
        assert names & fleet == (fleet if has_fleet else set())
    command = [*exporter_image.config["Entrypoint"], "scan"]
    with exporter_image.running(command, mounts) as process:
        printed, _ = process.communicate(timeout=300)
    assert process.returncode == 1
    assert printed.endswith("; install 'gpuwise[fleet]'\n")


def test_the_exporter_serves_its_demo(each: Image, mounts: dict[str, Path]):
    port = free_port()
    command = [*each.config["Entrypoint"], "exporter", "--backend", "demo", f"--listen=:{port}"]
    with each.running(command, mounts) as process:
        poll(lambda: alive(process, f"http://127.0.0.1:{port}/readyz"), what="the exporter's first sample")
        assert "gpuwise_gpu_power_watts{" in get(f"http://127.0.0.1:{port}/metrics")[1]


def test_the_service_starts_as_in_the_chart(image: Image, mounts: dict[str, Path]):
    """With the chart's commands and configuration; only the usage is a recording instead of a Prometheus."""
    port = free_port()
    objects = Helm(fetch("4")).render(values=None, **REQUIRED | {"service__port": port})
    (service,) = of_kind(objects, "Deployment")
    (config,) = of_kind(objects, "ConfigMap")
    (drawer,), (main,) = pod_of(service)["initContainers"], pod_of(service)["containers"]
    printed = yaml.safe_load(config["data"]["gpuwise.yaml"])
    (mounts["/etc/gpuwise"] / "gpuwise.yaml").write_text(yaml.safe_dump(printed))
    record_fleet(mounts["/recording"], nodes=4, days=1)
    image.run([*drawer["command"], *drawer["args"]], mounts)
    token = (mounts["/var/lib/gpuwise"] / "service-token").read_text()
    url = f"http://127.0.0.1:{port}"
    command = [*image.config["Entrypoint"], *main["args"]]
    with image.running(command, mounts, GPUWISE_RECORDING="/recording") as process:
        poll(lambda: alive(process, f"{url}/healthz"), what="the service")
        poll(lambda: alive(process, f"{url}/readyz"), what="the first run")
        assert get(f"{url}/api/v1/report")[0] == 401
        assert get(f"{url}/api/v1/report", token)[0] == 200
        process.terminate()
        output, _ = process.communicate(timeout=300)
    assert process.returncode == 0, output
    assert (mounts["/var/lib/gpuwise"] / "ledger.db").stat().st_uid == USER
