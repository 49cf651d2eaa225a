"""Decide and enact of one pass on 1,000 nodes with 8 GPUs each and 10,000 workloads, against a limit of 10 s.

Every workload has a recommendation to stop it, and the budget allows 100 effects. Their targets are Deployments of two
replicas on the emulated API server, which is another process. What the pass decides is checked there and written, and
each write is read back. The ledger is a SQLite file. One process, one thread. The figures:

pass_seconds              seconds from the recommendations to the last outcome, divided by `machine_factor`
pass_decide_seconds       the part of it that decides, also divided
enactor_peak_mib          resident memory of the process at its highest
pass_requests_per_effect  requests to the API server for each effect: checks before it, the write, reading it back
"""

import json
import resource
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from itertools import cycle
from multiprocessing import get_context
from pathlib import Path
from typing import Any

from benchmarks.fleet import fleet
from benchmarks.measure import at_most, in_a_process_of_its_own, machine_factor, remark, scaled

from gpuwise.cluster import KubernetesCluster
from gpuwise.decide.decide import Decision, decide
from gpuwise.decide.history import History
from gpuwise.decide.question import Situation
from gpuwise.decide.settings import DecideSettings
from gpuwise.emulate import KubernetesEmulator
from gpuwise.emulate.objects import deployment, node
from gpuwise.enact.enactor import KubernetesEnactor
from gpuwise.enact.settings import EnactSettings
from gpuwise.memory.ledger import SqliteLedger
from gpuwise.model.changes import ScaleTo
from gpuwise.model.command import FLEET, Budget, Limit, Mode, OutcomeStatus
from gpuwise.model.findings import Finding
from gpuwise.model.inventory import Inventory, WorkloadRef
from gpuwise.model.reasons import Reason
from gpuwise.model.recommendation import Recommendation, Saving
from gpuwise.recommend.selection import best_plan

GOALS = {"pass_seconds": at_most(10.0), "enactor_peak_mib": at_most(512.0)}

_WORKLOADS, _GPUS, _EFFECTS = 10_000, 8_000, 100
_NAMESPACE = "bench"


def figures() -> dict[str, float]:
    found = in_a_process_of_its_own("benchmarks.enact", scaled(_WORKLOADS, least=200))
    factor = machine_factor()
    remark(
        f"enact: {found['effects']:,.0f} effects of {found['workloads']:,.0f} recommendations, "
        f"{found['requests']:,.0f} requests"
    )
    return {
        "pass_seconds": found["seconds"] / factor,
        "pass_decide_seconds": found["decide_seconds"] / factor,
        "enactor_peak_mib": found["peak_mib"],
        "pass_requests_per_effect": found["requests"] / found["effects"],
    }


def _measured(workloads: int) -> dict[str, float]:
    effects = min(_EFFECTS, workloads // 4)
    with _api(effects) as (kubeconfig, uids, requests), tempfile.TemporaryDirectory() as folder:
        settings = DecideSettings(Mode.ENFORCE, Budget(effects, 3_600), brake_share=1.0)
        now_s = int(time.time())
        inventory, targets = _inventory(workloads, uids, now_s)
        items = [_stop(ref, number, now_s) for number, ref in enumerate(targets)]
        limits = (Limit(FLEET, effects, 3_600),)
        client = KubernetesCluster.connect(kubeconfig=kubeconfig, context=None)
        with client, SqliteLedger(Path(folder) / "ledger.db") as ledger:
            enactor = KubernetesEnactor(
                client, ledger, EnactSettings(limits=limits, default_mode=Mode.ENFORCE), lambda: int(time.time())
            )
            before, began_s = requests(), time.perf_counter()
            decision = _decided(items, inventory, settings, now_s)
            decided_s = time.perf_counter() - began_s
            outcomes = enactor.enact(decision.commands)
            took_s = time.perf_counter() - began_s
        wrong = [one for one in outcomes if one.status not in (OutcomeStatus.APPLIED, OutcomeStatus.WATCHING)]
        assert not wrong, wrong[0]
        assert len(outcomes) == effects
        return {
            "seconds": took_s,
            "decide_seconds": decided_s,
            "effects": float(effects),
            "workloads": float(len(items)),
            "requests": float(requests() - before),
            "peak_mib": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1_024,
        }


def _decided(items: list[Recommendation], inventory: Inventory, settings: DecideSettings, now_s: int) -> Decision:
    return decide(items, Situation(inventory, History(), settings, now_s), choose=best_plan)


def _inventory(workloads: int, uids: dict[str, str], now_s: int) -> tuple[Inventory, list[WorkloadRef]]:
    """The fleet, in which the first workloads are those on the API server; with more than it has, they share GPUs."""
    once = fleet(scaled(_GPUS, least=160)).snapshot(now_s)
    plain = [replace(one, managed_by=(), disruptions_allowed=None, annotations={}, labels={}) for one in once.workloads]
    refs = [WorkloadRef(_NAMESPACE, "Deployment", name, uid) for name, uid in uids.items()]
    refs += [
        replace(one.ref, kind="Deployment", name=f"{one.ref.name}-{number}", uid=f"{one.ref.uid}-{number}")
        for number, one in zip(range(len(refs), workloads), cycle(plain), strict=False)
    ]
    named = tuple(replace(one, ref=ref) for one, ref in zip(cycle(plain), refs, strict=False))
    return replace(once, workloads=named, taken_s=now_s), refs


def _stop(ref: WorkloadRef, number: int, now_s: int) -> Recommendation:
    usd = 1e6 - number  # the budget goes to the largest savings
    return Recommendation(
        id=f"r-{number:010x}", workload=ref, owner="team", finding=Finding.IDLE, reasons=(Reason.NO_ACTIVITY,),
        change=ScaleTo(0), saving=Saving(usd, usd, usd, 1.0), risk=0, confidence=1.0, coverage=1.0, evidence=(),
        restart_needed=True, rollback_possible=True, effort="Low", created_s=now_s, expires_s=now_s + 3_600,
        etag=str(number), claims=(ref.uid,),
    )  # fmt: skip


@contextmanager
def _api(effects: int) -> Iterator[tuple[Path, dict[str, str], Any]]:
    """An API server in a process of its own: its kubeconfig, the uids of its Deployments, its number of requests."""
    context = get_context("spawn")
    ours, theirs = context.Pipe()
    server = context.Process(target=_serve, args=(theirs, effects), daemon=True)
    server.start()
    kubeconfig, uids = ours.recv()

    def requests() -> int:
        ours.send("requests")
        return int(ours.recv())

    try:
        yield Path(kubeconfig), uids, requests
    finally:
        ours.send("stop")
        server.join()


def _serve(pipe: Any, effects: int) -> None:
    names = [f"endpoint-{number}" for number in range(effects)]
    objects = [{"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": _NAMESPACE}}]
    objects += [node(f"node-{number}", gpus=8) for number in range(-(-effects * 2 // 8))]
    objects += [deployment(name, namespace=_NAMESPACE, replicas=2) for name in names]
    with KubernetesEmulator(objects) as api, tempfile.TemporaryDirectory() as folder:
        api.settle()
        kubeconfig = api.write_kubeconfig(Path(folder) / "kubeconfig")
        with KubernetesCluster.connect(kubeconfig=kubeconfig, context=None) as client:
            found = client.list(f"/apis/apps/v1/namespaces/{_NAMESPACE}/deployments")
        pipe.send((str(kubeconfig), {one["metadata"]["name"]: one["metadata"]["uid"] for one in found}))
        while pipe.recv() == "requests":
            pipe.send(len(api.requests))


if __name__ == "__main__":
    print(json.dumps(_measured(int(sys.argv[1]))))
