"""The kill switch that needs nothing but kubectl: a ConfigMap whose existence stops all effects (I26).

`kubectl create configmap gpuwise-stop -n gpuwise` stops them, `kubectl delete` of it lets them go on. It works without
the ledger and the configuration; `gpuwise pause` is the one that is recorded with its reason.
"""

from gpuwise.enact.refusal import Refusal
from gpuwise.enact.settings import EnactSettings
from gpuwise.model.command import POLICY
from gpuwise.model.errors import ClusterError, Forbidden, Gone
from gpuwise.model.ports import ClusterReader
from gpuwise.model.reasons import Reason
from gpuwise.model.rights import STOP_CONFIG_MAP


def stopped(cluster: ClusterReader, settings: EnactSettings, *, actor: str) -> Refusal | None:
    """Read the switch; it is read again before each effect.

    Args:
        cluster: client, used only to read.
        settings: the namespace of the switch, and whether automation needs the right to read it.
        actor: who orders the effect: a switch that cannot be read stops automation, and a person who has no right to
            read it goes on.

    Returns:
        Why nothing may be changed now, None if the switch does not exist.
    """
    namespace = settings.stop_namespace
    if namespace is None:
        return None
    where = f"ConfigMap {STOP_CONFIG_MAP} in namespace {namespace}"
    try:
        cluster.get(f"/api/v1/namespaces/{namespace}/configmaps/{STOP_CONFIG_MAP}")
    except Gone:
        return None
    except ClusterError as error:
        if isinstance(error, Forbidden) and (actor != POLICY or not settings.stop_must_be_readable):
            return None
        return Refusal(Reason.STOPPED, f"{where} cannot be read, so nothing is changed: {error}")
    return Refusal(Reason.STOPPED, f"{where} exists: effects go on when it is deleted")
