from tests.collect.readings import card, instance, reading

from gpuwise.collect import catalogue as c
from gpuwise.collect.attribution.allocation import Allocation, Container
from gpuwise.collect.attribution.attributor import Attributor
from gpuwise.collect.reading import Process

LISTED = Container("research", "trainer-0", "main")
OMITTED = Container("research", "trainer-1", "main")
GPU = card()
FIRST, SECOND = instance(GPU, 0), instance(GPU, 1)


class Kubelet:
    """Lists the container of the first instance; Get has that of the second as well."""

    def list(self) -> tuple[Allocation, ...]:
        return (Allocation(LISTED, FIRST.uuid),)

    def of_pod(self, namespace: str, pod: str) -> tuple[Allocation, ...]:
        assert (namespace, pod) == (OMITTED.namespace, OMITTED.pod)
        return (Allocation(OMITTED, SECOND.uuid),)


def test_the_processes_of_a_card_in_mig_mode_are_looked_up_with_its_instances():
    asked: list[int] = []

    def owner_of(pid: int) -> Container | None:
        asked.append(pid)
        return {1: LISTED, 2: OMITTED}.get(pid)

    first, second = Process(1, None), Process(2, None)
    readings = [
        reading(GPU, {c.MIG_MODE: 1.0}, processes=[first, second]),
        reading(FIRST, {}, processes=[first]),
        reading(SECOND, {}, processes=[second]),
    ]
    found = Attributor(Kubelet(), owner_of).holders(readings)
    assert (found[FIRST.uuid], found[SECOND.uuid]) == ((LISTED,), (OMITTED,))
    assert asked == [2]
