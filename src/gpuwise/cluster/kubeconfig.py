"""Finding a cluster: a kubeconfig, or the one that this process runs in."""

import logging
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from gpuwise.model.errors import InputError

CHECK = "check --kubeconfig and --context"


def client_of(kubeconfig: Path | None, context: str | None) -> Any:
    """An `ApiClient` for the file given, else for $KUBECONFIG or ~/.kube/config, else for the cluster around us.

    Raises:
        InputError: the kubeconfig is not there, cannot be read as one, or its credential plugin fails.
    """
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
        raise InputError(f"there is no kubeconfig {kubeconfig}", hint="give a file with --kubeconfig")
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
            raise InputError("found no Kubernetes cluster", hint="give a kubeconfig with --kubeconfig") from error
        raise InputError(f"cannot use the kubeconfig {name}: {error}", hint=CHECK) from error
    except (YAMLError, OSError, HTTPError, TypeError, AttributeError, KeyError, ValueError) as error:
        said = str(error).splitlines()[0] if str(error) else type(error).__name__
        raise InputError(f"cannot read the kubeconfig {name}: {said}", hint="fix or replace the file") from error
    if complaints:
        raise InputError(
            f"the credential plugin (users[].user.exec) of the kubeconfig {name} failed: {complaints[0]}",
            hint="install that program and sign in with it, or use another user with --context",
        )


@contextmanager
def _logged_errors() -> Iterator[list[str]]:
    """What is logged as an error meanwhile: all that the client tells of a credential plugin that it could not run.

    Without a plugin's token the client goes on as nobody, and every request is refused (kubernetes-client/python#1409).
    """
    heard: list[str] = []

    class Ear(logging.Handler):
        def emit(self, record: logging.LogRecord) -> None:
            heard.append(" ".join(record.getMessage().split()))

    ear, root = Ear(logging.ERROR), logging.getLogger()
    root.addHandler(ear)
    try:
        yield heard
    finally:
        root.removeHandler(ear)


def _has_kubeconfig(config: Any) -> bool:
    separator, places = ":", config.kube_config.KUBE_CONFIG_DEFAULT_LOCATION
    return any(Path(place).expanduser().is_file() for place in places.split(separator) if place)
