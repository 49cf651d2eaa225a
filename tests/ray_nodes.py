"""A Ray cluster whose nodes have file systems and network links of their own: namespaces of Linux, so it needs root."""

import os
import secrets
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from itertools import count
from pathlib import Path
from types import MappingProxyType

import pytest

from tests.prometheus_server import free_port

_CLUSTERS, _NODES = count(1), count(1)
"""Names of network devices are unique on the machine, so every cluster and node has a number of its own."""
_STARTED = "Ray runtime started"
_TOOLS = ("ip", "unshare", "mount")

NEEDS_NAMESPACES = pytest.mark.skipif(
    os.geteuid() != 0 or any(shutil.which(tool) is None for tool in _TOOLS),
    reason="a Ray node with a file system of its own needs root, and the packages iproute2 and util-linux",
)


@dataclass
class RayNode:
    """A node of the cluster.

    Attributes:
        name: its name in Ray.
        process: `ray start --block`.
        link: the network interface that connects it, "" for the head.
    """

    name: str
    process: subprocess.Popen[str]
    link: str = ""

    def holds(self, pid: int) -> bool:
        """Whether a process runs on this node."""
        return self.process.pid in _ancestors(pid)

    def cut(self) -> None:
        """Cut its link: packets are lost, and no connection is reset."""
        _run("ip", "link", "set", self.link, "down")


@dataclass
class RayNodes:
    """The cluster.

    Attributes:
        folder: for logs and copies of files.
        token: file with Ray's token.
        port: of the head.
        network: the first three numbers of its addresses.
        bridge: the network device that connects the nodes.
    """

    folder: Path
    token: Path
    port: int
    network: str
    bridge: str
    _count: int = field(default=1)
    _roots: list[int] = field(default_factory=list)

    def processes(self, text: str, *, of: int | None = None) -> list[int]:
        """The processes of the cluster whose command line contains a text; other clusters may run on this machine.

        Args:
            text: such as "ray::run" or "raylet".
            of: a process outside of the cluster, whose descendants count, too.
        """
        roots = {*self._roots, *filter(None, [of])}
        return [pid for pid in named(text) if not roots.isdisjoint(_ancestors(pid))]

    @property
    def address(self) -> str:
        """HOST:PORT of the head."""
        return f"{self.network}.1:{self.port}"

    @property
    def environment(self) -> dict[str, str]:
        """What a process needs to join."""
        kept = {name: value for name, value in os.environ.items() if not name.startswith("RAY_AUTH")}
        return kept | {"RAY_AUTH_MODE": "token", "RAY_AUTH_TOKEN_PATH": str(self.token)}

    @contextmanager
    def joined(self, name: str, replaced: Mapping[Path, Path] = MappingProxyType({})) -> Iterator[RayNode]:
        """Start a node with one CPU, and stop it at the end.

        Args:
            name: its name.
            replaced: folders, and the folders that this node has in their place.
        """
        self._count += 1
        number = f"{os.getpid()}-{next(_NODES)}"
        link, inside, space = f"gw{number}", f"gi{number}", f"gpuwise-{number}"
        address = f"{self.network}.{self._count}"
        for words in (
            f"ip netns add {space}",
            f"ip link add {link} type veth peer name {inside} netns {space}",
            f"ip link set {link} master {self.bridge} up",
            f"ip -n {space} addr add {address}/24 dev {inside}",
            f"ip -n {space} link set {inside} up",
            f"ip -n {space} link set lo up",
        ):
            _run(*words.split())
        own = self.folder / number
        (own / "ray").mkdir(parents=True)
        Path("/tmp/ray").mkdir(exist_ok=True)
        mounts = {Path("/tmp/ray"): own / "ray"} | dict(replaced)
        script = "".join(f"mount --bind {there} {here} && " for here, there in mounts.items())
        start = (
            f"exec {_ray()} start --block --address={self.address} --node-ip-address={address} "
            f"--node-name={name} --num-cpus=1 --disable-usage-stats"
        )
        command = [
            "ip",
            "netns",
            "exec",
            space,
            "unshare",
            "--mount",
            "--propagation",
            "private",
            "sh",
            "-c",
            script + start,
        ]
        try:
            with _started(command, own / "log", self.environment) as process:
                self._roots.append(process.pid)
                yield RayNode(name, process, link)
        finally:
            _run("ip", "netns", "del", space, check=False)


@contextmanager
def ray_nodes(folder: Path) -> Iterator[RayNodes]:
    """Start a head that runs no work; nodes join it."""
    token = folder / "ray-token"
    token.touch(mode=0o600)
    token.write_text(secrets.token_hex(32))
    with ExitStack() as stack:
        cluster = next(_CLUSTERS)
        network, bridge = f"10.213.{os.getpid() % 200 + cluster}", f"gb{os.getpid()}-{cluster}"
        stack.callback(_run, "ip", "link", "del", bridge, check=False)
        _run("ip", "link", "add", bridge, "type", "bridge")
        _run("ip", "addr", "add", f"{network}.1/24", "dev", bridge)
        _run("ip", "link", "set", bridge, "up")
        found = RayNodes(folder, token, free_port(), network, bridge)
        command = [
            _ray(), "start", "--head", "--block", f"--port={found.port}", f"--node-ip-address={network}.1",
            "--num-cpus=0", "--include-dashboard=false", "--disable-usage-stats", "--node-name=head",
        ]  # fmt: skip
        found._roots.append(stack.enter_context(_started(command, folder / "head.log", found.environment)).pid)
        yield found


@contextmanager
def _started(command: list[str], log: Path, env: dict[str, str]) -> Iterator[subprocess.Popen[str]]:
    env = env | {"PYTHONUNBUFFERED": "1", "RAY_gcs_server_port_wait_time_s": "300"}
    with log.open("a") as errors:
        process = subprocess.Popen(
            command, env=env, stdout=subprocess.PIPE, stderr=errors, text=True, start_new_session=True
        )
    try:
        assert process.stdout is not None
        if not any(_STARTED in line for line in process.stdout):
            pytest.fail(f"Ray did not start: {log.read_text()}")
        yield process
    finally:
        for sign in (signal.SIGTERM, signal.SIGKILL):
            for pid in [pid for pid in _parents() if process.pid in _ancestors(pid)]:
                _kill(pid, sign)
            try:
                process.wait(10)
                break
            except subprocess.TimeoutExpired:
                continue
        assert process.stdout is not None
        process.stdout.close()


def stop(pid: int) -> None:
    """Kill a process at once."""
    _kill(pid, signal.SIGKILL)


def named(text: str) -> list[int]:
    """The processes whose command line contains a text."""
    found = []
    for folder in Path("/proc").iterdir():
        if folder.name.isdigit():
            try:
                words = (folder / "cmdline").read_bytes().replace(b"\0", b" ").decode(errors="replace")
            except OSError:
                continue
            if text in words:
                found.append(int(folder.name))
    return sorted(found)


def wait_for(what: str, condition, timeout_s: float = 60.0):  # type: ignore[no-untyped-def]
    """Wait until a condition has a value, and return it."""
    until_s = time.monotonic() + timeout_s
    while time.monotonic() < until_s:
        found = condition()
        if found:
            return found
        time.sleep(0.05)
    pytest.fail(f"{what} did not happen within {timeout_s:g} s")


def _ray() -> str:
    return str(Path(sys.executable).with_name("ray"))


def _run(*words: str, check: bool = True) -> None:
    subprocess.run(words, check=check, capture_output=True)


def _kill(pid: int, sign: signal.Signals) -> None:
    try:
        os.kill(pid, sign)
    except ProcessLookupError:
        return


def _parents() -> dict[int, int]:
    found = {}
    for folder in Path("/proc").iterdir():
        if folder.name.isdigit():
            try:
                found[int(folder.name)] = int((folder / "stat").read_text().rpartition(")")[2].split()[1])
            except OSError:
                continue
    return found


def _ancestors(pid: int) -> set[int]:
    """A process, its parent, and so on."""
    parents, found = _parents(), set[int]()
    while pid in parents and pid > 1:
        found.add(pid)
        pid = parents[pid]
    return found
