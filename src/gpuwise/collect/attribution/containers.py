"""Which container a process runs in: its cgroup contains the container id, the kubelet's log links map ids to names.

Only the cgroup of a process and the names of the links are read: no command line, no environment, no log.
"""

import re
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

from gpuwise.collect.attribution.allocation import Container

OwnerOf = Callable[[int], Container | None]
"""Maps a pid to the container that the process runs in; None for a process of the host, or if it is not known."""

# containerd and CRI-O write ".../cri-containerd-<id>.scope" or ".../<id>", Docker "docker-<id>.scope", and containerd
# with a systemd slice on cgroupfs "<slice>:cri-containerd:<id>". A process in a nested cgroup of the container has a
# path that continues after the id, with ids of its own if a runtime runs in the container.
_CONTAINER_ID = re.compile(r"(?:^|[-/:])(?P<id>[0-9a-f]{64})(?:\.scope)?(?=/|$)", re.MULTILINE)
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
        ids = self._container_ids(pid)
        if ids and ids[-1] not in self._names:
            self._names = self._listed()
        # A container that a runtime within a container started (Docker in Docker, Podman, kind) has an id that the
        # kubelet does not know: the process belongs to the innermost container that it knows.
        return next((self._names[one] for one in reversed(ids) if one in self._names), None)

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
