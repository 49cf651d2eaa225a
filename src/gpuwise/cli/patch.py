"""`gpuwise patch`: print a change as a patch ready to commit, for what gpuwise does not write itself."""

from contextlib import ExitStack
from typing import Any

import click
import yaml

from gpuwise.cli import show
from gpuwise.cli.console import err, say
from gpuwise.cli.help import command
from gpuwise.cli.options import connection
from gpuwise.config import Config
from gpuwise.enact.patches import Arrived, Patch, helm_values, patch_for
from gpuwise.enact.refusal import Refusal
from gpuwise.enact.target import Target, read_object
from gpuwise.manual import find
from gpuwise.model.command import Command
from gpuwise.model.errors import InputError
from gpuwise.model.kinds import KINDS, Kind
from gpuwise.model.ownership import autoscalers
from gpuwise.model.ports import ClusterReader, Object
from gpuwise.model.recommendation import Recommendation
from gpuwise.wiring import cluster, now, open_ledger


@command()
@connection
@click.argument("recommendation_id", metavar="ID")
@click.option(
    "--format",
    "form",
    type=click.Choice(["kustomize", "helm", "plain"]),
    default="plain",
    show_default=True,
    help="A kustomize patch, values of a Helm chart, or the patch alone.",
)
def patch(config: Config, recommendation_id: str, form: str) -> None:
    """Print a change as a patch ready to commit, for fields that other tools own."""
    with open_ledger(config) as ledger:
        item = find(ledger, recommendation_id)
    with ExitStack() as stack:
        client = cluster(config, stack)
        target = _target(client, item)
        order = Command("a-0000000000", item.id, item.workload, item.change, "patch")
        scalers = _scalers(client, item)
        found = patch_for(target, order, scalers, now())
    if isinstance(found, Refusal):
        raise InputError(f"{found.reason.value}: {found.detail}", hint=f"see `gpuwise explain {item.id}`")
    if isinstance(found, Arrived):
        say(f"arrived: {item.workload}: {found.detail}; the next pass no longer recommends it", to=err)
        return
    if found.note:
        say(f"note: {found.note}", to=err)
    patched = next((one for one in (target.item, *scalers) if one["kind"] == found.target["kind"]), target.item)
    show.print_raw(yaml.safe_dump(_document(found, form, patched), sort_keys=False).rstrip())


def _document(found: Patch, form: str, patched: Object) -> Any:
    if form == "plain":
        return found.document
    if form == "helm":
        values = helm_values(patched, found)
        if isinstance(values, Refusal):
            raise InputError(values.detail, hint="or use --format kustomize")
        return values
    if found.creates:
        raise InputError("this is a new object, not a patch", hint="use --format plain, and add it to resources")
    group, _, version = found.target["apiVersion"].rpartition("/")
    target = {"group": group, "version": version, "kind": found.target["kind"], "name": found.target["name"]}
    text = yaml.safe_dump(found.document, sort_keys=False)
    return {"patches": [{"target": target | {"namespace": found.target["namespace"]}, "patch": text}]}


def _target(client: ClusterReader, item: Recommendation) -> Target:
    ref = item.workload
    kind = KINDS.get(ref.kind) or Kind(ref.kind, "", (), "")
    found = read_object(client, kind, ref.namespace, ref.name) if kind.versions else None
    if found is None:
        raise InputError(f"gpuwise knows no manifest of a {ref.kind}", hint=f"see `gpuwise explain {item.id}`")
    if isinstance(found, Refusal):
        raise InputError(found.detail, hint="run `gpuwise scan`")
    return found


def _scalers(client: ClusterReader, item: Recommendation) -> list[Object]:
    space = item.workload.namespace
    mine = frozenset({(item.workload.kind, item.workload.name)})
    hpas = client.list(f"/apis/autoscaling/v2/namespaces/{space}/horizontalpodautoscalers")
    scaled = list(client.list_optional(f"/apis/keda.sh/v1alpha1/namespaces/{space}/scaledobjects"))
    # KEDA makes an HPA of its own for each ScaledObject, so the ScaledObject counts first. Lists omit the kind.
    return [
        *(one | _SCALED for one in scaled if autoscalers((), (one,), mine)),
        *(one | _HPA for one in hpas if autoscalers((one,), (), mine)),
    ]


_SCALED = {"apiVersion": "keda.sh/v1alpha1", "kind": "ScaledObject"}
_HPA = {"apiVersion": "autoscaling/v2", "kind": "HorizontalPodAutoscaler"}
