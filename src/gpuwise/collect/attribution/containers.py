"""Which container a process runs in: its cgroup contains the container id, the kubelet's log links map ids to names.

Only the cgroup of a process, the number of its parent and the names of the links are read: no command line, no
environment, no log.
"""

import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path

from gpuwise.collect.attribution.allocation import Container

OwnerOf = Callable[[int], Container | None]
"""Maps a pid to the container that the process runs in; None for a process of the host, or if it is not known."""

# containerd and CRI-O write ".../cri-containerd-<id>.scope" or ".../<id>", Docker "docker-<id>.scope", and containerd
# with a systemd slice on cgroupfs "<slice>:cri-containerd:<id>". A process in a nested cgroup of the container has a
# path that continues after the id, with ids of its own if a runtime runs in the container.
_CONTAINER_ID = re.compile(r"(?:^|[-/:])(?P<id>[0-9a-f]{64})(?:\.scope)?(?=/|$)", re.MULTILINE)
_PARENT = re.compile(r"^PPid:\s*(\d+)$", re.MULTILINE)
# A chain of processes that is longer is not a container's; it also ends a chain that changes while it is read.
_MOST_ANCESTORS = 64
# The kubelet's own naming (kuberuntime/legacy.go): <pod>_<namespace>_<container>-<id>.log; none of the names has a "_".
_LINK = re.compile(r"^(?P<pod>[^_]+)_(?P<namespace>[^_]+)_(?P<name>[^_]+)-(?P<id>[0-9a-f]{64})\.log$")


@dataclass(slots=True)
class ContainersByCgroup:
    """Maps processes to containers; implements `OwnerOf`.

    Attributes:
        proc: the host's /proc; it must be mounted unless the exporter shares the host's pid namespace.
        links: the kubelet's /var/log/containers.
    """

    proc: Path
    links: Path
    _names: dict[str, Container] = field(default_factory=dict)

    def __call__(self, pid: int) -> Container | None:
        """The container that a process runs in.

        Args:
            pid: the process id in the host's pid namespace.
        """
        known = map(self._known, self._lineage(pid))
        return next((container for container in known if container is not None), None)

    def _known(self, pid: int) -> Container | None:
        """The container of a process according to its own cgroup.

        A container that a runtime within a container started (Docker in Docker, Podman, kind) has an id that the
        kubelet does not know: the process belongs to the innermost container that it knows.
        """
        ids = self._container_ids(pid)
        if ids and ids[-1] not in self._names:
            self._names = self._listed()
        return next((self._names[one] for one in reversed(ids) if one in self._names), None)

    def _lineage(self, pid: int) -> Iterator[int]:
        """The process and its ancestors, without init.

        An inner Docker that sees the host's cgroups puts its containers beside the pod and not below it
        (coder/envbox#168): only their ancestors, the inner daemon's, have the pod's cgroup. A process of the host or of
        a runtime of the host has no ancestor in a pod.
        """
        for _ in range(_MOST_ANCESTORS):
            if pid <= 1:
                return
            yield pid
            pid = self._parent(pid)

    def _parent(self, pid: int) -> int:
        try:
            found = _PARENT.search((self.proc / str(pid) / "status").read_text())
        except (OSError, UnicodeDecodeError):  # the process ended, or is not readable
            return 0
        return int(found[1]) if found else 0

    def _container_ids(self, pid: int) -> list[str]:
        """The ids in the cgroup's path, from the outermost to the innermost."""
        try:
            return _CONTAINER_ID.findall((self.proc / str(pid) / "cgroup").read_text())
        except OSError:  # the process ended, or is not readable
            return []

    def _listed(self) -> dict[str, Container]:
        """All links; empty if the directory does not exist, which leaves owners unknown."""
        try:
            matches = [_LINK.match(link.name) for link in self.links.iterdir()]
        except OSError:
            return {}
        return {one["id"]: Container(one["namespace"], one["pod"], one["name"]) for one in matches if one}
