"""Finds a cluster: from a kubeconfig, or from inside a pod."""

import base64
import time
from pathlib import Path
from typing import Any

from gpuwise.cluster.plugin import TIMEOUT_S, Credential, Plugin
from gpuwise.model.errors import Forbidden, InputError

CHECK = "check --kubeconfig and --context"

_PROVIDERS = {
    "gcp": "write the kubeconfig again with `gcloud container clusters get-credentials`, with gke-gcloud-auth-plugin",
    "azure": "convert the kubeconfig with `kubelogin convert-kubeconfig`",
}
"""What replaces the authentication providers that Kubernetes 1.26 removed."""


def client_of(kubeconfig: Path | None, context: str | None, *, plugin_timeout_s: float = TIMEOUT_S) -> Any:
    """An `ApiClient` for the given file, else for $KUBECONFIG or ~/.kube/config, else for the cluster of this pod.

    Args:
        kubeconfig: a kubeconfig file, None to search for one.
        context: a context in it, None for the current context.
        plugin_timeout_s: longest time that a credential plugin may take without a terminal, seconds.

    Raises:
        InputError: the kubeconfig does not exist or is invalid, or its credential plugin fails.
    """
    from kubernetes import client, config  # noqa: PLC0415  # 1 s to import: only commands that connect pay it
    from urllib3.util.retry import Retry  # noqa: PLC0415  # comes with it

    settings = client.Configuration()
    _load(config, settings, kubeconfig, context, plugin_timeout_s)
    # Retry on a connection that the server closed while it was idle, for reads only; a write is never sent twice.
    settings.retries = Retry(
        total=1, redirect=0, status=0, other=0, allowed_methods={"GET"}, respect_retry_after_header=False
    )
    found = client.ApiClient(settings)
    found.user_agent = "gpuwise"
    return found


def _load(config: Any, settings: Any, kubeconfig: Path | None, context: str | None, plugin_timeout_s: float) -> None:
    from urllib3.exceptions import HTTPError  # noqa: PLC0415  # comes with the client
    from yaml import YAMLError  # noqa: PLC0415  # as above

    if kubeconfig is not None and not kubeconfig.is_file():
        raise InputError(f"the kubeconfig {kubeconfig} does not exist", hint="name a kubeconfig file with --kubeconfig")
    name = str(kubeconfig or config.kube_config.KUBE_CONFIG_DEFAULT_LOCATION)
    try:
        if kubeconfig is None and not _has_kubeconfig(config):
            config.load_incluster_config(client_configuration=settings)
            return
        _load_file(config, settings, name, context, plugin_timeout_s)
    except config.ConfigException as error:
        if kubeconfig is None and not _has_kubeconfig(config):
            problem = f"no Kubernetes cluster found: {name} does not exist, and this is not a pod"
            raise InputError(problem, hint="name a kubeconfig with --kubeconfig") from error
        raise InputError(f"cannot use the kubeconfig {name}: {error}", hint=CHECK) from error
    except (YAMLError, OSError, HTTPError, TypeError, AttributeError, KeyError, ValueError) as error:
        reason = str(error).splitlines()[0] if str(error) else type(error).__name__
        raise InputError(f"cannot read the kubeconfig {name}: {reason}", hint="fix or replace the file") from error


def _load_file(config: Any, settings: Any, name: str, context: str | None, plugin_timeout_s: float) -> None:
    """Load a kubeconfig, or the files of $KUBECONFIG; a credential plugin is run here, not by the client."""
    merged = config.kube_config.KubeConfigMerger(name).config
    if merged is None:
        raise config.ConfigException("it has no configuration")
    chosen = merged["contexts"].get_with_name(context or merged["current-context"])
    user = _user(merged, chosen, name)
    plugin = None
    if user is not None:
        provider = (user.value["user"].get("auth-provider") or {}).get("name")
        if provider in _PROVIDERS:
            problem = f"the user {user.value['name']} in the kubeconfig {user.path} has the auth-provider {provider}"
            raise InputError(f"{problem}, which Kubernetes 1.26 removed", hint=_PROVIDERS[provider])
        plugin = _plugin(merged, chosen, user, plugin_timeout_s)
    if user is not None and plugin is not None:
        credential = plugin.run()
        _replace_plugin(user.value["user"], credential)
    config.kube_config.load_kube_config_from_dict(merged, context, settings, persist_config=False)
    if plugin is not None and credential.token:
        settings.refresh_api_key_hook = _Refresh(plugin, credential)
    elif user is not None and "auth-provider" in user.value["user"] and "BearerToken" not in settings.api_key:
        problem = f"the auth-provider of the user {user.value['name']} in the kubeconfig {user.path} has no valid token"
        raise InputError(problem, hint="sign in again, or use another user with --context")


def _user(merged: Any, chosen: Any, name: str) -> Any | None:
    """The user of a context; None if it names none.

    Raises:
        InputError: the user does not exist; the client would continue unauthenticated.
    """
    wanted = chosen["context"].safe_get("user")
    if not wanted:
        return None
    found = merged["users"].get_with_name(wanted, safe=True)
    if found is None:
        problem = f"the context {chosen['name']} of the kubeconfig {name} names the user {wanted}, which is not in it"
        raise InputError(problem, hint="add that user to the file, or use another one with --context")
    found.value["user"] = found.value.get("user") or {}
    return found


def _plugin(merged: Any, chosen: Any, user: Any, timeout_s: float) -> Plugin | None:
    given = user.value["user"]
    # A token has priority over a plugin, as in kubectl.
    if not given.get("exec") or given.get("token") or given.get("tokenFile") or given.get("auth-provider"):
        return None
    cluster = merged["clusters"].get_with_name(chosen["context"]["cluster"]).value["cluster"]
    return Plugin(user.path, user.value["name"], given["exec"], cluster, timeout_s)


def _replace_plugin(user: dict[str, Any], credential: Credential) -> None:
    """Replace the plugin of a user by what it returned."""
    user.pop("exec")
    if credential.token:
        user["token"] = credential.token
    if credential.certificate and credential.key:
        user["client-certificate-data"] = base64.b64encode(credential.certificate.encode()).decode()
        user["client-key-data"] = base64.b64encode(credential.key.encode()).decode()


class _Refresh:
    """Runs a plugin again when its token expires; the client calls this before each request."""

    def __init__(self, plugin: Plugin, credential: Credential) -> None:
        self._plugin, self._credential = plugin, credential

    def __call__(self, settings: Any) -> None:
        if not self._credential.expired(time.time()):
            return
        try:
            self._credential = self._plugin.run()
        except InputError as error:
            # While a pass runs, this is an error of the cluster: the request was not sent.
            raise Forbidden(error.problem, hint=error.hint) from error
        settings.api_key["BearerToken"] = f"Bearer {self._credential.token}"


def _has_kubeconfig(config: Any) -> bool:
    separator, places = ":", config.kube_config.KUBE_CONFIG_DEFAULT_LOCATION
    return any(Path(place).expanduser().is_file() for place in places.split(separator) if place)
