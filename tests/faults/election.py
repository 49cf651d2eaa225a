"""The product's election in a world: its Lease is in a store of its own, and the world's clock drives it."""

from dataclasses import dataclass

from tests.faults.cluster import InProcessClient, VirtualCluster
from tests.faults.points import Crash, Fault, Point

from gpuwise.lead import Leader, LeadSettings
from gpuwise.lead.elector import Elector
from gpuwise.lead.lease import Lease
from gpuwise.model.errors import ClusterError, Conflict, NoAnswer, Throttled

SETTINGS = LeadSettings()
NAME = "gpuwise"
_PATH = f"/apis/coordination.k8s.io/v1/namespaces/{NAME}/leases/{NAME}"
_ANSWERS = {Fault.CONFLICT: Conflict, Fault.THROTTLED: Throttled, Fault.SERVER_ERROR: ClusterError}


def leases(clock) -> VirtualCluster:
    """The store of the Lease: its renewals change nothing that the inventory lists."""
    namespace = {"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": NAME}}
    return VirtualCluster([namespace], clock)


@dataclass(frozen=True, slots=True)
class ElectionClient:
    """The client of the election, with failpoints around each write of the Lease."""

    process: "any"

    def get(self, path):
        return InProcessClient(self.process.world.leases).get(path)

    def create(self, path, body):
        return self._write("create leases", lambda client: client.create(path, body))

    def patch(self, path, body, **options):
        return self._write("patch leases", lambda client: client.patch(path, body, **options))

    def _write(self, write, send):
        self._pass("before", write)
        found = send(InProcessClient(self.process.world.leases))
        self._pass("after", write)
        return found

    def _pass(self, side: str, write: str) -> None:
        process, world = self.process, self.process.world
        point = Point("elect", "-", write, 1, side)
        world.tally.passed[point] += 1
        fault = process.faults.election(process, point, f"lease {side}")
        if fault is None:
            return
        world.note(f"-- {fault.value}: {point}")
        if fault is Fault.CRASH:
            world.tally.crashed[point] += 1
            raise Crash
        if fault in _ANSWERS:
            raise _ANSWERS[fault](f"{write}: injected", hint="try again")
        raise NoAnswer(f"{write}: {fault.value}", hint="try again")


def leader(process) -> Leader:
    """The leadership of one process; its thread is `World.advance`."""
    world = process.world

    def clock() -> float:
        return float(world.now_s)

    def end(why: str) -> None:
        world.note(f"ends: {why}")
        raise Crash

    lease = Lease(ElectionClient(process), NAME, NAME, world.wall_s)
    elector = Elector(lease, SETTINGS, process.identity, world.ledger.head().ledger, clock)
    return Leader(elector, SETTINGS, process.identity, clock=clock, end=end, arm=lambda seconds: None)


def holder(world) -> str:
    """The identity that has the Lease, "" for none."""
    found = world.leases.peek(_PATH)
    return "" if found is None else found["spec"].get("holderIdentity") or ""
