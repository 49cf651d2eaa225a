"""ResourceQuota: usage is counted when a pod is admitted, and again by a controller when pods are deleted."""

from collections import defaultdict
from collections.abc import Iterable
from fractions import Fraction

from gpuwise.emulate.quantity import decimal, quantity
from gpuwise.emulate.resources import PODS, QUOTAS
from gpuwise.emulate.status import Object, refused
from gpuwise.emulate.store import ObjectStore

Amounts = dict[str, Fraction]
_REQUIRED = frozenset({"cpu", "memory", "requests.cpu", "requests.memory", "limits.cpu", "limits.memory"})


def admit(store: ObjectStore, pod: Object, *, dry_run: bool) -> None:
    """Check a new pod against every quota of its namespace, and count it.

    Raises:
        ApiFailure: 403.
    """
    name, wanted = pod["metadata"]["name"], usage([pod])
    for quota in _quotas(store, pod["metadata"]["namespace"]):
        hard = _amounts(quota["spec"].get("hard") or {})
        if not any(key in wanted or key in _REQUIRED for key in hard):
            continue
        _check_required(quota, pod, hard)
        used = _amounts((quota.get("status") or {}).get("used") or {})
        over = sorted(
            key for key in hard if wanted.get(key, 0) and used.get(key, Fraction(0)) + wanted[key] > hard[key]
        )
        if over:
            raise refused(PODS, name, _exceeded(quota, over, wanted, used, hard))
        if not dry_run:
            total = {key: used.get(key, Fraction(0)) + wanted.get(key, Fraction(0)) for key in hard}
            _write(store, quota, total)


def run_quotas(store: ObjectStore) -> None:
    """Recount the usage of each quota."""
    quotas = store.all(QUOTAS)
    if not quotas:
        return
    by_namespace: dict[str, list[Object]] = defaultdict(list)
    for pod in store.all(PODS):
        if (pod.get("status") or {}).get("phase") not in ("Succeeded", "Failed"):
            by_namespace[pod["metadata"]["namespace"]].append(pod)
    for quota in quotas:
        counted = usage(by_namespace.get(quota["metadata"]["namespace"], ()))
        hard = quota["spec"].get("hard") or {}
        _write(store, quota, {key: counted.get(key, Fraction(0)) for key in hard})


def usage(pods: Iterable[Object]) -> Amounts:
    """The usage of pods, by the names that quotas use."""
    total: Amounts = defaultdict(Fraction)
    for pod in pods:
        total["pods"] += 1
        total["count/pods"] += 1
        for container in pod["spec"].get("containers") or []:
            found = container.get("resources") or {}
            for name, amount in (found.get("requests") or {}).items():
                total[f"requests.{name}"] += quantity(amount)
                if name in ("cpu", "memory"):
                    total[name] += quantity(amount)
            for name, amount in (found.get("limits") or {}).items():
                total[f"limits.{name}"] += quantity(amount)
    return total


def _quotas(store: ObjectStore, namespace: str) -> list[Object]:
    return [quota for quota in store.all(QUOTAS) if quota["metadata"]["namespace"] == namespace]


def _amounts(values: Object) -> Amounts:
    return {key: quantity(value) for key, value in values.items()}


def _check_required(quota: Object, pod: Object, hard: Amounts) -> None:
    """Reject a container without a request or limit that a quota on cpu or memory needs."""
    missing: dict[str, list[str]] = {}
    for key in sorted(set(hard) & _REQUIRED):
        field, _, name = key.rpartition(".")
        for container in pod["spec"]["containers"]:
            if name not in ((container.get("resources") or {}).get(field or "requests") or {}):
                missing.setdefault(key, []).append(container["name"])
    if missing:
        text = "; ".join(f"{key} for: {','.join(names)}" for key, names in missing.items())
        raise refused(PODS, pod["metadata"]["name"], f"failed quota: {quota['metadata']['name']}: must specify {text}")


def _exceeded(quota: Object, over: list[str], wanted: Amounts, used: Amounts, hard: Amounts) -> str:
    def listed(values: Amounts) -> str:
        return ",".join(f"{key}={decimal(values.get(key, Fraction(0)))}" for key in over)

    text = f"exceeded quota: {quota['metadata']['name']}, requested: {listed(wanted)}"
    return f"{text}, used: {listed(used)}, limited: {listed(hard)}"


def _write(store: ObjectStore, quota: Object, used: Amounts) -> None:
    hard = quota["spec"].get("hard") or {}
    if not hard:
        return
    status = {"hard": hard, "used": {key: decimal(value) for key, value in sorted(used.items())}}
    key = quota["metadata"]["namespace"], quota["metadata"]["name"]
    store.update(QUOTAS, *key, lambda item: item | {"status": status}, subresource="status")
