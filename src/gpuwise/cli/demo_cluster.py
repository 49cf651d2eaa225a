"""The demo's emulated cluster after the demo: saved to a file, and served again for `gpuwise undo` and `apply`."""

import json
from pathlib import Path
from typing import Any

from gpuwise.cli.console import err, say
from gpuwise.cli.stopping import stopping
from gpuwise.cluster import KubernetesCluster
from gpuwise.emulate.server import KubernetesEmulator
from gpuwise.model.errors import InputError
from gpuwise.sources.kubernetes.listings import ALL_COLLECTIONS

KUBECONFIG = "kubeconfig"
_FILE = "cluster.json"
# A ConfigMap has the head of the demo's ledger.
_KEPT = ALL_COLLECTIONS | {"ConfigMap": "/api/v1/configmaps"}


def keep(kubeconfig: Path, folder: Path) -> None:
    """Write every object of the emulated cluster to a file, as `kubectl get -o json` would.

    Args:
        kubeconfig: of the cluster.
        folder: the demo's output folder.
    """
    items: list[dict[str, Any]] = []
    with KubernetesCluster.connect(kubeconfig=kubeconfig, context=None) as cluster:
        for kind, path in _KEPT.items():
            head = {"apiVersion": path.removeprefix("/apis/").removeprefix("/api/").rpartition("/")[0], "kind": kind}
            items += [head | item for item in cluster.list_optional(path)]
    (folder / _FILE).write_text(json.dumps({"apiVersion": "v1", "kind": "List", "items": items}))


def serve(folder: Path) -> None:
    """Serve the cluster in its last state until SIGINT or SIGTERM.

    Args:
        folder: the demo's output folder.

    Raises:
        InputError: the folder has no saved cluster.
    """
    try:
        items = json.loads((folder / _FILE).read_text())["items"]
    except (OSError, ValueError, KeyError) as error:
        raise InputError(f"{folder} has no saved cluster of a demo", hint="run `gpuwise demo` first") from error
    stop = stopping()
    with KubernetesEmulator(items) as cluster:
        kubeconfig = cluster.write_kubeconfig(folder / KUBECONFIG)
        say(f"The demo's cluster is at {cluster.url}, for --kubeconfig {kubeconfig}; stop it with Ctrl-C.")
        stop.wait()
        cluster.settle()
        keep(kubeconfig, folder)
    say(f"The changes are saved in {folder / _FILE}.", to=err)
