"""A Kubernetes cluster."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Protocol

Object = dict[str, Any]
"""A Kubernetes object as the API returns it."""


@dataclass(frozen=True, slots=True)
class Access:
    """A right that RBAC grants.

    Attributes:
        verb: "patch".
        group: API group, "" for the core.
        resource: plural, with a subresource after a slash.
        namespace: where, "" for the whole cluster.
        name: name of one object, "" for all.
    """

    verb: str
    group: str
    resource: str
    namespace: str = ""
    name: str = ""

    def __str__(self) -> str:
        """Format it as RBAC's own messages do: "patch deployments.apps in namespace search"."""
        what = f"{self.resource}.{self.group}" if self.group else self.resource
        return f"{self.verb} {what}{f' in namespace {self.namespace}' if self.namespace else ''}"


class ClusterReader(Protocol):
    """The Kubernetes API, read-only."""

    def list(self, path: str, *, label_selector: str = "", field_selector: str = "") -> list[Object]:
        """All objects under a collection path such as "/apis/apps/v1/deployments", page by page.

        Raises:
            ClusterError: any page failed.
        """
        ...

    def list_optional(self, path: str, *, label_selector: str = "", field_selector: str = "") -> Sequence[Object]:
        """As `list`, but empty if the kind is not installed.

        Raises:
            ClusterError: the kind is installed and any page failed.
        """
        ...

    def get(self, path: str) -> Object:
        """One object by its path.

        Raises:
            Gone: the object does not exist.
            ClusterError: anything else.
        """
        ...

    def may(self, access: Access) -> bool | None:
        """Whether this identity has a right; None if the API server cannot answer. The check changes nothing."""
        ...


class ClusterWriter(ClusterReader, Protocol):
    """The Kubernetes API, read and write; only the enactor and the ledger's anchor get it."""

    def create(self, path: str, body: Object) -> Object:
        """Create one object.

        Raises:
            Conflict: an object of that name exists.
            ClusterError: anything else.
        """
        ...

    def patch(
        self, path: str, body: Mapping[str, Any] | list[Object], *, content_type: str, dry_run: bool = False
    ) -> Object:
        """Patch one object; metadata.uid and metadata.resourceVersion in the body are preconditions.

        Args:
            path: path of the object or its subresource.
            body: merge or strategic-merge patch, or a list of RFC 6902 operations.
            content_type: "application/" and one of "merge-patch+json", "strategic-merge-patch+json", "json-patch+json".
            dry_run: let the server validate the patch without storing it.

        Raises:
            Conflict: a precondition failed.
            ClusterError: anything else.
        """
        ...
