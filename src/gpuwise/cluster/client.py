"""Client of the Kubernetes API; the only file that uses the `kubernetes` client, which it imports on connecting.

Objects are passed as the raw JSON that the server sends, so fields that gpuwise does not know are kept.
"""

import json
import time
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from types import TracebackType
from typing import Any, Self

from gpuwise.cluster.answers import Expired, cause_of, error_for, first_line, retry_after_s
from gpuwise.cluster.kubeconfig import CHECK, client_of
from gpuwise.cluster.plugin import TIMEOUT_S
from gpuwise.model.errors import ClusterError, Forbidden, Gone, NoAnswer
from gpuwise.model.ports import Access, Object

PAGE = 500
"""Objects per page of a list, client-go's default chunk."""

WAIT_BUDGET_S = 15.0
"""Longest time that one call, including a list of many pages, spends on retries."""

Objects = list[Object]  # within the class, `list` is a method

# The server, or a proxy in front of it, is restarting; a read is safe to repeat. 500 covers etcd's timeouts.
_TRANSIENT = frozenset({500, 502, 503, 504})
_FIRST_PAUSE_S = 0.2
_REVIEWS = "/apis/authorization.k8s.io/v1/selfsubjectaccessreviews"
_ANONYMOUS = "system:anonymous"
_WHO_AM_I = "/apis/authentication.k8s.io/v1/selfsubjectreviews"
"""Served since Kubernetes 1.28; every authenticated user may create it (system:basic-user)."""
_FIELD_MANAGER = "gpuwise"


class KubernetesCluster:
    """Reads, creates and patches objects of one cluster. Use it as a context manager, or close it.

    Args:
        client: a `kubernetes.client.ApiClient`.
        request_timeout_s: timeout of one request, seconds.
        wait_budget_s: time that one call may spend on retries, seconds.
        before_write: called immediately before each request that changes something, also before each retry; what it
            raises prevents the request.
    """

    def __init__(
        self,
        client: Any,
        *,
        request_timeout_s: float = 10.0,
        wait_budget_s: float = WAIT_BUDGET_S,
        before_write: Callable[[], object] = lambda: None,
    ) -> None:
        self._before_write = before_write
        self._client = client
        self._timeout_s = request_timeout_s
        self._wait_budget_s = wait_budget_s
        self._reached = False

    @classmethod
    def connect(
        cls,
        *,
        kubeconfig: Path | None,
        context: str | None,
        request_timeout_s: float = 10.0,
        wait_budget_s: float = WAIT_BUDGET_S,
        plugin_timeout_s: float = TIMEOUT_S,
        before_write: Callable[[], object] = lambda: None,
    ) -> "KubernetesCluster":
        """Find a cluster: the given file, else $KUBECONFIG or ~/.kube/config, else the cluster of this pod.

        Args:
            kubeconfig: a kubeconfig file, None to search for one.
            context: a context in it, None for the current context.
            request_timeout_s: timeout of one request, seconds.
            wait_budget_s: time that one call may spend on retries, seconds.
            plugin_timeout_s: longest time that a credential plugin may take without a terminal, seconds.
            before_write: as the constructor's.

        Raises:
            InputError: the kubeconfig does not exist or is invalid, or its credential plugin fails.
        """
        file = kubeconfig.expanduser() if kubeconfig else None
        client = client_of(file, context, plugin_timeout_s=plugin_timeout_s)
        return cls(client, request_timeout_s=request_timeout_s, wait_budget_s=wait_budget_s, before_write=before_write)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        self.close()

    def close(self) -> None:
        """Close the connections."""
        self._client.rest_client.pool_manager.clear()

    @property
    def address(self) -> str:
        """The API server's URL."""
        return str(self._client.configuration.host)

    def list(self, path: str, *, label_selector: str = "", field_selector: str = "") -> Objects:
        """All objects under a collection path, page by page.

        Args:
            path: such as "/apis/apps/v1/deployments".
            label_selector: as kubectl's -l.
            field_selector: as kubectl's --field-selector.

        Raises:
            Gone: the server does not serve that path.
            ClusterError: any page failed.
        """
        query = {"limit": str(PAGE), "labelSelector": label_selector, "fieldSelector": field_selector}
        query = {key: value for key, value in query.items() if value}
        until = self._deadline()
        while True:
            try:
                return [item for page in self._pages(path, query, until) for item in page]
            except Expired as error:
                # The list's resource version expired while it was read: start again, as long as there is time.
                if time.monotonic() >= until:
                    problem = f"the list of {path} expired repeatedly while it was read"
                    raise ClusterError(problem, hint="the API server is overloaded; try again later") from error

    def list_optional(self, path: str, *, label_selector: str = "", field_selector: str = "") -> Objects:
        """Like `list`, but empty if the resource is not installed.

        RBAC answers before routing: an identity without the permission to list a resource gets 403 even if the resource
        is not installed. Discovery, which every authenticated user may read, then shows which of the two it is.

        Args:
            path: such as "/apis/keda.sh/v1alpha1/scaledobjects".
            label_selector: as kubectl's -l.
            field_selector: as kubectl's --field-selector.

        Raises:
            ClusterError: the resource is installed, and a page failed.
        """
        try:
            return self.list(path, label_selector=label_selector, field_selector=field_selector)
        except Gone:
            return []
        except Forbidden:
            if self._serves(path):
                raise
            return []

    def _serves(self, path: str) -> bool:
        """Whether discovery lists the resource of a collection path."""
        _, _, group, version, *rest = path.split("/")
        try:
            found = self.get(f"/apis/{group}/{version}").get("resources") or []
        except Gone:
            return False
        return rest[-1] in {resource.get("name") for resource in found}

    def get(self, path: str) -> Object:
        """One object by its path.

        Raises:
            Gone: the object does not exist.
            ClusterError: any other error.
        """
        return self._request("GET", path)

    def may(self, access: Access) -> bool | None:
        """Whether this identity has a permission, by SelfSubjectAccessReview; None if the review fails.

        The review changes nothing in the cluster.

        Args:
            access: the permission.
        """
        attributes = {
            "verb": access.verb,
            "group": access.group,
            "resource": access.resource,
            "namespace": access.namespace,
            "name": access.name,
        }
        review = {
            "apiVersion": "authorization.k8s.io/v1",
            "kind": "SelfSubjectAccessReview",
            "spec": {"resourceAttributes": {key: value for key, value in attributes.items() if value}},
        }
        try:
            answer = self._request("POST", _REVIEWS, body=review, content_type="application/json")
        except ClusterError:
            return None
        allowed = (answer.get("status") or {}).get("allowed")
        return allowed if isinstance(allowed, bool) else None

    def user(self) -> str | None:
        """Return the name of the user that the API server authenticates, by SelfSubjectReview; None if that fails.

        The review changes nothing in the cluster.
        """
        review = {"apiVersion": "authentication.k8s.io/v1", "kind": "SelfSubjectReview"}
        try:
            answer = self._request("POST", _WHO_AM_I, body=review, content_type="application/json")
        except ClusterError:
            return None
        name = ((answer.get("status") or {}).get("userInfo") or {}).get("username")
        return name if isinstance(name, str) and name and name != _ANONYMOUS else None

    def create(self, path: str, body: Object) -> Object:
        """Create one object.

        Args:
            path: of the collection.
            body: the object.

        Raises:
            Conflict: an object of that name exists.
            ClusterError: any other error.
        """
        query = {"fieldManager": _FIELD_MANAGER}
        return self._request("POST", path, query, body=body, content_type="application/json")

    def patch(
        self, path: str, body: Mapping[str, Any] | Objects, *, content_type: str, dry_run: bool = False
    ) -> Object:
        """Patch one object; preconditions are metadata.uid and metadata.resourceVersion in the patch.

        Args:
            path: of the object or its subresource.
            body: merge or strategic-merge patch, or a list of RFC 6902 operations.
            content_type: "application/" and one of "merge-patch+json", "strategic-merge-patch+json", "json-patch+json".
            dry_run: let the server validate the patch without storing it.

        Raises:
            Conflict: a precondition does not hold.
            ClusterError: any other error.
        """
        query = {"fieldManager": _FIELD_MANAGER} | ({"dryRun": "All"} if dry_run else {})
        return self._request("PATCH", path, query, body=body, content_type=content_type)

    def _pages(self, path: str, query: dict[str, str], until: float) -> Iterator[Objects]:
        token = ""
        while True:
            page = self._request("GET", path, query | ({"continue": token} if token else {}), until=until)
            items = page.get("items")
            if not isinstance(items, list):
                raise ClusterError(f"{self.address}{path} returned no items", hint="check that it is a Kubernetes API")
            yield items
            token = (page.get("metadata") or {}).get("continue") or ""
            if not token:
                return

    def _deadline(self) -> float:
        return time.monotonic() + self._wait_budget_s

    def _request(
        self,
        method: str,
        path: str,
        query: Mapping[str, str] | None = None,
        *,
        body: Any = None,
        content_type: str = "",
        until: float | None = None,
    ) -> Object:
        """Send a request, and retry it while that is safe and there is time: a write is retried after a 429 only."""
        until = self._deadline() if until is None else until
        pause_s = _FIRST_PAUSE_S
        while True:
            wait_s: float | None = None
            if method != "GET" and path != _REVIEWS:
                self._before_write()
            try:
                code, headers, raw = self._send(method, path, query or {}, body=body, content_type=content_type)
            except NoAnswer:
                # An address that was never reached is more likely wrong than restarting: report that at once.
                if method != "GET" or not self._reached or time.monotonic() + pause_s > until:
                    raise
            else:
                self._reached = True
                wait_s = retry_after_s(headers) if code == 429 or code in _TRANSIENT else None
                again = (code == 429 and wait_s is not None) or (method == "GET" and code in _TRANSIENT)
                if not again or time.monotonic() + (pause_s if wait_s is None else wait_s) > until:
                    return self._read(method, path, code, raw)
            time.sleep(pause_s if wait_s is None else wait_s)
            pause_s *= 2

    def _send(
        self, method: str, path: str, query: Mapping[str, str], *, body: Any, content_type: str
    ) -> tuple[int, Mapping[str, str], bytes]:
        from kubernetes.client.exceptions import ApiException  # noqa: PLC0415  # slow to import: see the docstring
        from urllib3.exceptions import HTTPError  # noqa: PLC0415  # comes with the client

        headers = {"Accept": "application/json"} | ({"Content-Type": content_type} if body is not None else {})
        try:
            serialized = self._client.param_serialize(
                method,
                path,
                query_params=list(query.items()),
                header_params=headers,
                body=body,
                auth_settings=["BearerToken"],
            )
            response = self._client.call_api(*serialized, _request_timeout=self._timeout_s)
            raw: bytes = response.read()
        except (HTTPError, ApiException, OSError) as error:
            raise NoAnswer(
                f"cannot reach the Kubernetes API at {self.address}: {cause_of(error)}", hint=CHECK
            ) from error
        return int(response.status), response.headers, raw

    def _read(self, method: str, path: str, code: int, raw: bytes) -> Object:
        asked = f"{method} {path}"
        try:
            answer: Any = json.loads(raw)
        except ValueError as error:
            if not 200 <= code < 300:
                # Not every error is a Status: for a group that it does not serve, an API server sends plain text.
                raise error_for(asked, code, {"message": first_line(raw)}) from error
            problem = f"{self.address}{path} returned {code} and no JSON"
            hint = "check that it is a Kubernetes API and not a login page"
            raise ClusterError(problem, hint=hint) from error
        if not isinstance(answer, dict):
            raise ClusterError(f"{self.address}{path} returned no object", hint="check that it is a Kubernetes API")
        if not 200 <= code < 300:
            raise error_for(asked, code, answer)
        return answer
