"""Finds a cluster: from a kubeconfig, or from inside a pod."""

import logging
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from gpuwise.model.errors import InputError

CHECK = "check --kubeconfig and --context"


def client_of(kubeconfig: Path | None, context: str | None) -> Any:
    """An `ApiClient` for the given file, else for $KUBECONFIG or ~/.kube/config, else for the cluster of this pod.

    Raises:
        InputError: the kubeconfig does not exist or is invalid, or its credential plugin fails.
    """
    from kubernetes import client, config  # noqa: PLC0415  # 1 s to import: only commands that connect pay it
    from urllib3.util.retry import Retry  # noqa: PLC0415  # comes with it

    settings = client.Configuration()
    _load(config, settings, kubeconfig, context)
    # Retry on a connection that the server closed while it was idle, for reads only; a write is never sent twice.
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
        raise InputError(f"the kubeconfig {kubeconfig} does not exist", hint="name a kubeconfig file with --kubeconfig")
    name = str(kubeconfig or config.kube_config.KUBE_CONFIG_DEFAULT_LOCATION)
    try:
        if kubeconfig is None and not _has_kubeconfig(config):
            config.load_incluster_config(client_configuration=settings)
            return
        file = str(kubeconfig) if kubeconfig else None
        with _logged_errors() as complaints:
            config.load_kube_config(file, context=context, client_configuration=settings, persist_config=False)
    except config.ConfigException as error:
        if kubeconfig is None and not _has_kubeconfig(config):
            raise InputError("no Kubernetes cluster found", hint="name a kubeconfig with --kubeconfig") from error
        raise InputError(f"cannot use the kubeconfig {name}: {error}", hint=CHECK) from error
    except (YAMLError, OSError, HTTPError, TypeError, AttributeError, KeyError, ValueError) as error:
        reason = str(error).splitlines()[0] if str(error) else type(error).__name__
        raise InputError(f"cannot read the kubeconfig {name}: {reason}", hint="fix or replace the file") from error
    if complaints:
        raise InputError(
            f"the credential plugin (users[].user.exec) of the kubeconfig {name} failed: {complaints[0]}",
            hint="install that program and sign in with it, or use another user with --context",
        )


@contextmanager
def _logged_errors() -> Iterator[list[str]]:
    """The errors logged within the block: the client reports a failed credential plugin only in the log.

    Without the plugin's token the client continues unauthenticated, and every request fails
    (kubernetes-client/python#1409).
    """
    messages: list[str] = []

    class Collector(logging.Handler):
        def emit(self, record: logging.LogRecord) -> None:
            messages.append(" ".join(record.getMessage().split()))

    collector, root = Collector(logging.ERROR), logging.getLogger()
    root.addHandler(collector)
    try:
        yield messages
    finally:
        root.removeHandler(collector)


def _has_kubeconfig(config: Any) -> bool:
    separator, places = ":", config.kube_config.KUBE_CONFIG_DEFAULT_LOCATION
    return any(Path(place).expanduser().is_file() for place in places.split(separator) if place)
