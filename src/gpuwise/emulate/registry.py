"""The served resources: the built-in ones, and the custom resources that are installed."""

from collections.abc import Iterable

from gpuwise.emulate.resources import BUILTIN, Resource

# Resources of a real server that the emulator does not serve: it returns 501 instead of "not found".
UNSERVED: dict[tuple[str, str], frozenset[str]] = {
    key: frozenset(plurals.split())
    for key, plurals in {
        ("", "v1"): "bindings componentstatuses endpoints podtemplates replicationcontrollers secrets",
        ("apiregistration.k8s.io", "v1"): "apiservices",
        ("certificates.k8s.io", "v1"): "certificatesigningrequests",
        ("networking.k8s.io", "v1"): "ingresses ingressclasses ipaddresses networkpolicies servicecidrs",
        ("rbac.authorization.k8s.io", "v1"): "clusterrolebindings clusterroles rolebindings roles",
        ("storage.k8s.io", "v1"): "csidrivers csinodes csistoragecapacities storageclasses volumeattachments"
        " volumeattributesclasses",
        ("admissionregistration.k8s.io", "v1"): "mutatingwebhookconfigurations",
        ("scheduling.k8s.io", "v1"): "priorityclasses",
        ("node.k8s.io", "v1"): "runtimeclasses",
        ("discovery.k8s.io", "v1"): "endpointslices",
        ("flowcontrol.apiserver.k8s.io", "v1"): "flowschemas prioritylevelconfigurations",
    }.items()
}
REVIEWS: dict[tuple[str, str], frozenset[str]] = {
    ("authentication.k8s.io", "v1"): frozenset({"selfsubjectreviews", "tokenreviews"}),
    ("authorization.k8s.io", "v1"): frozenset(
        {"localsubjectaccessreviews", "selfsubjectaccessreviews", "selfsubjectrulesreviews", "subjectaccessreviews"}
    ),
}
# In the order of a 1.36 server's /apis.
GROUPS: dict[str, tuple[str, ...]] = {
    "apiregistration.k8s.io": ("v1",),
    "apps": ("v1",),
    "events.k8s.io": ("v1",),
    "authentication.k8s.io": ("v1",),
    "authorization.k8s.io": ("v1",),
    "autoscaling": ("v2", "v1"),
    "batch": ("v1",),
    "certificates.k8s.io": ("v1",),
    "networking.k8s.io": ("v1",),
    "policy": ("v1",),
    "rbac.authorization.k8s.io": ("v1",),
    "storage.k8s.io": ("v1",),
    "admissionregistration.k8s.io": ("v1",),
    "apiextensions.k8s.io": ("v1",),
    "scheduling.k8s.io": ("v1",),
    "coordination.k8s.io": ("v1",),
    "node.k8s.io": ("v1",),
    "discovery.k8s.io": ("v1",),
    "resource.k8s.io": ("v1",),
    "flowcontrol.apiserver.k8s.io": ("v1",),
}


class Registry:
    """The resources by path and by kind.

    Args:
        custom: custom resources that are installed from the start.
    """

    def __init__(self, custom: Iterable[Resource]) -> None:
        self._rows: dict[tuple[str, str, str], Resource] = {}
        self._kinds: dict[tuple[str, str], Resource] = {}
        self.add(*BUILTIN, *custom)

    def add(self, *rows: Resource) -> None:
        """Serve further resources."""
        for row in rows:
            self._rows[row.place] = row
            self._kinds[row.api_version, row.kind] = row

    def remove(self, group: str, plural: str) -> None:
        """Stop serving a custom resource, in all its versions."""
        for row in [row for row in self._rows.values() if (row.group, row.plural) == (group, plural)]:
            del self._rows[row.place], self._kinds[row.api_version, row.kind]

    def find(self, group: str, version: str, plural: str) -> Resource | None:
        """The resource at a path, None if there is none."""
        return self._rows.get((group, version, plural))

    def of_kind(self, api_version: str, kind: str) -> Resource | None:
        """The resource of a kind, None if there is none."""
        return self._kinds.get((api_version, kind))

    def kept(self, row: Resource) -> Resource:
        """The resource under which the objects of a resource are stored."""
        return self._rows[row.other_version_of] if row.other_version_of else row

    def rows(self) -> list[Resource]:
        """All resources, in every version."""
        return list(self._rows.values())

    def stored(self) -> list[Resource]:
        """All resources, in their storage version only."""
        return [row for row in self._rows.values() if row.other_version_of is None]

    def versions(self, group: str) -> tuple[str, ...]:
        """The versions of a group, the preferred one first; () if the group is not served."""
        if group in GROUPS:
            return GROUPS[group]
        rows = [row for row in self._rows.values() if row.group == group and not row.builtin]
        return tuple(dict.fromkeys(row.version for row in rows))

    def groups(self) -> list[str]:
        """All named groups: the built-in ones, then the custom ones by name."""
        custom = sorted({row.group for row in self._rows.values() if not row.builtin and row.group not in GROUPS})
        return [*GROUPS, *custom]
