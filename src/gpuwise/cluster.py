"""The Kubernetes API; the only file that knows the `kubernetes` client, and it imports it when it connects.

Objects pass as the raw JSON that the server sends: what gpuwise does not understand it does not lose.
"""

import json
import time
from collections.abc import Iterator, Mapping
from pathlib import Path
from types import TracebackType
from typing import Any, Self

from gpuwise.model.errors import ClusterError, Conflict, Forbidden, Gone, InputError, Throttled
from gpuwise.model.ports import Object

PAGE = 500
"""Objects per page of a list, client-go's default chunk."""

WAIT_BUDGET_S = 15.0
"""The longest that one call waits in all for a server that says "too many requests"."""

Objects = list[Object]  # inside the class, `list` is its method

_FIELD_MANAGER = "gpuwise"
_CHECK = "check --kubeconfig and --context"


class KubernetesCluster:
    """Reads, and patches, objects of one cluster. Use it as a context manager, or close it.

    Args:
        client: a `kubernetes.client.ApiClient`.
        request_timeout_s: how long one request may take.
    """

    def __init__(self, client: Any, *, request_timeout_s: float = 10.0) -> None:
        self._client = client
        self._timeout_s = request_timeout_s

    @classmethod
    def connect(
        cls, *, kubeconfig: Path | None, context: str | None, request_timeout_s: float = 10.0
    ) -> "KubernetesCluster":
        """Find a cluster: the file given, else $KUBECONFIG or ~/.kube/config, else the one this process runs in.

        Args:
            kubeconfig: a kubeconfig, None to look for one.
            context: a context in it, None for its current one.
            request_timeout_s: how long one request may take.

        Raises:
            InputError: the kubeconfig is not there, or cannot be read as one.
        """
        return cls(_client(kubeconfig, context), request_timeout_s=request_timeout_s)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        self.close()

    def close(self) -> None:
        """Let the connections go."""
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
            Gone: nothing is served at that path.
            ClusterError: any page failed.
        """
        query = {"limit": str(PAGE), "labelSelector": label_selector, "fieldSelector": field_selector}
        query = {key: value for key, value in query.items() if value}
        try:
            return [item for page in self._pages(path, query) for item in page]
        except _Expired:
            # The list outlived its version while it was read: once more from the start.
            pass
        try:
            return [item for page in self._pages(path, query) for item in page]
        except _Expired as error:
            problem = f"the list of {path} expired twice while it was read"
            raise ClusterError(problem, mend="the API server is overloaded; try again later") from error

    def get(self, path: str) -> Object:
        """One object by its path.

        Raises:
            Gone: there is none.
            ClusterError: anything else.
        """
        return self._request("GET", path)

    def patch(
        self, path: str, body: Mapping[str, Any] | Objects, *, content_type: str, dry_run: bool = False
    ) -> Object:
        """Patch one object; preconditions travel in metadata.uid and metadata.resourceVersion.

        Args:
            path: of the object or its subresource.
            body: merge or strategic-merge patch, or a list of RFC 6902 operations.
            content_type: "application/" and one of "merge-patch+json", "strategic-merge-patch+json", "json-patch+json".
            dry_run: let the server check it and keep nothing.

        Raises:
            Conflict: a precondition does not hold.
            ClusterError: anything else.
        """
        query = {"fieldManager": _FIELD_MANAGER} | ({"dryRun": "All"} if dry_run else {})
        return self._request("PATCH", path, query, body=body, content_type=content_type)

    def _pages(self, path: str, query: dict[str, str]) -> Iterator[Objects]:
        token = ""
        while True:
            page = self._request("GET", path, query | ({"continue": token} if token else {}))
            items = page.get("items")
            if not isinstance(items, list):
                raise ClusterError(f"{self.address}{path} answered without items", mend="is it a Kubernetes API?")
            yield items
            token = (page.get("metadata") or {}).get("continue") or ""
            if not token:
                return

    def _request(
        self,
        method: str,
        path: str,
        query: Mapping[str, str] | None = None,
        *,
        body: Any = None,
        content_type: str = "",
    ) -> Object:
        until = time.monotonic() + WAIT_BUDGET_S
        while True:
            code, headers, raw = self._send(method, path, query or {}, body=body, content_type=content_type)
            wait_s = _retry_after_s(headers)
            if code != 429 or wait_s is None or time.monotonic() + wait_s > until:
                return self._read(method, path, code, raw)
            time.sleep(wait_s)

    def _send(
        self, method: str, path: str, query: Mapping[str, str], *, body: Any, content_type: str
    ) -> tuple[int, Mapping[str, str], bytes]:
        from kubernetes.client.exceptions import ApiException  # noqa: PLC0415  # slow to import: see the docstring above
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
            raise ClusterError(
                f"cannot reach the Kubernetes API at {self.address}: {_cause(error)}", mend=_CHECK
            ) from error
        return int(response.status), response.headers, raw

    def _read(self, method: str, path: str, code: int, raw: bytes) -> Object:
        try:
            answer: Any = json.loads(raw)
        except ValueError as error:
            problem = f"{self.address}{path} answered {code} and no JSON"
            raise ClusterError(problem, mend="is it a Kubernetes API, whole and not behind a login page?") from error
        if not isinstance(answer, dict):
            raise ClusterError(f"{self.address}{path} answered no object", mend="is it a Kubernetes API?")
        if not 200 <= code < 300:
            raise _refusal(f"{method} {path}", code, answer)
        return answer


class _Expired(ClusterError):
    """A page that can no longer be given (410)."""


def _refusal(asked: str, code: int, status: Object) -> ClusterError:
    why = status.get("message") or status.get("reason") or "no reason"
    said = f"the Kubernetes API refused {asked} with {code}: {why}"
    # A real server says 422 where a patch names another uid, and 409 for every other precondition (kubernetes#127625).
    causes = (status.get("details") or {}).get("causes") or []
    other_uid = code == 422 and any(cause.get("field") == "metadata.uid" for cause in causes)
    if code == 409 or other_uid:
        return Conflict(said, mend="read it again and decide anew")
    if code in (401, 403):
        return Forbidden(said, mend="give this identity the right, or use another one with --context")
    if code == 410:
        return _Expired(said, mend="list again")
    kinds: dict[int, tuple[type[ClusterError], str]] = {
        404: (Gone, "it may have been deleted; list again"),
        429: (Throttled, "try again later"),
    }
    kind, mend = kinds.get(code, (ClusterError, "see the API server's log"))
    return kind(said, mend=mend)


def _retry_after_s(headers: Mapping[str, str]) -> float | None:
    try:
        return max(0.0, float(headers.get("Retry-After", "")))
    except ValueError:
        return None


def _cause(error: BaseException) -> str:
    """The innermost reason in a few words: "connection refused" rather than three classes of it."""
    reason = getattr(error, "reason", None)
    if isinstance(reason, BaseException):
        return _cause(reason)
    inner = error.__cause__ or error.__context__
    if isinstance(inner, OSError) and inner.strerror:
        return inner.strerror.lower()
    return str(reason or error).splitlines()[-1].rpartition(": ")[2] or type(error).__name__


def _client(kubeconfig: Path | None, context: str | None) -> Any:
    from kubernetes import client, config  # noqa: PLC0415  # 1 s to import: only who connects pays it
    from urllib3.util.retry import Retry  # noqa: PLC0415  # comes with it

    settings = client.Configuration()
    _load(config, settings, kubeconfig, context)
    # A connection that the server closed while idle is tried again, for reads alone; a write is never sent twice.
    settings.retries = Retry(
        total=1, redirect=0, status=0, other=0, allowed_methods={"GET"}, respect_retry_after_header=False
    )
    found = client.ApiClient(settings)
    found.user_agent = "gpuwise"
    return found


def _load(config: Any, settings: Any, kubeconfig: Path | None, context: str | None) -> None:
    from urllib3.exceptions import HTTPError  # noqa: PLC0415  # comes with the client
    from yaml import YAMLError  # noqa: PLC0415  # as above

    if kubeconfig is not None and not kubeconfig.is_file():
        raise InputError(f"there is no kubeconfig {kubeconfig}", mend="give a file with --kubeconfig")
    name = str(kubeconfig) if kubeconfig else "found by $KUBECONFIG or in ~/.kube/config"
    try:
        if kubeconfig is None and not _has_kubeconfig(config):
            config.load_incluster_config(client_configuration=settings)
            return
        file = str(kubeconfig) if kubeconfig else None
        config.load_kube_config(file, context=context, client_configuration=settings, persist_config=False)
    except config.ConfigException as error:
        if kubeconfig is None and not _has_kubeconfig(config):
            raise InputError("found no Kubernetes cluster", mend="give a kubeconfig with --kubeconfig") from error
        raise InputError(f"cannot use the kubeconfig {name}: {error}", mend=_CHECK) from error
    except (YAMLError, OSError, HTTPError, TypeError, AttributeError, KeyError, ValueError) as error:
        said = str(error).splitlines()[0] if str(error) else type(error).__name__
        raise InputError(f"cannot read the kubeconfig {name}: {said}", mend="mend or replace the file") from error


def _has_kubeconfig(config: Any) -> bool:
    separator, places = ":", config.kube_config.KUBE_CONFIG_DEFAULT_LOCATION
    return any(Path(place).expanduser().is_file() for place in places.split(separator) if place)
