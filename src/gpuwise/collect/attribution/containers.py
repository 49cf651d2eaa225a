"""Whose a process is: its cgroup names the container's id, and the kubelet's links to logs name the id's container.

Nothing but a process' cgroup and the names of links is read: no command line, no environment, no log.
"""

import re
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

from gpuwise.collect.attribution.allocation import Container

OwnerOf = Callable[[int], Container | None]
"""The container that a process runs in, by pid; None for one of the host, or where it cannot be told."""

# containerd and CRI-O write ".../cri-containerd-<id>.scope" or ".../<id>", Docker "docker-<id>.scope"; what runs in a
# cgroup of its own within the container goes on after it.
_CONTAINER_ID = re.compile(r"(?:^|[-/])(?P<id>[0-9a-f]{64})(?:\.scope)?(?=/|$)", re.MULTILINE)
# The kubelet's own naming (kuberuntime/legacy.go): <pod>_<namespace>_<container>-<id>.log; none of the names has a "_".
_LINK = re.compile(r"^(?P<pod>[^_]+)_(?P<namespace>[^_]+)_(?P<name>[^_]+)-(?P<id>[0-9a-f]{64})\.log$")


@dataclass(slots=True)
class ContainersByCgroup:
    """Tells processes' containers; fulfils `OwnerOf`.

    Attributes:
        proc: the host's /proc; without the host's pid namespace it is to be mounted.
        links: the kubelet's /var/log/containers.
    """

    proc: Path
    links: Path
    _names: dict[str, Container] = field(default_factory=dict)

    def __call__(self, pid: int) -> Container | None:
        """The container that a process runs in.

        Args:
            pid: as the host counts.
        """
        number = self._container_id(pid)
        if number is None:
            return None
        if number not in self._names:
            self._names = self._listed()
        return self._names.get(number)

    def _container_id(self, pid: int) -> str | None:
        try:
            found = _CONTAINER_ID.findall((self.proc / str(pid) / "cgroup").read_text())
        except OSError:  # it ended meanwhile, or is not ours to see
            return None
        return found[-1] if found else None

    def _listed(self) -> dict[str, Container]:
        """Every link there is; none if the folder is not there, which leaves owners unknown."""
        try:
            matches = [_LINK.match(link.name) for link in self.links.iterdir()]
        except OSError:
            return {}
        return {one["id"]: Container(one["namespace"], one["pod"], one["name"]) for one in matches if one}
