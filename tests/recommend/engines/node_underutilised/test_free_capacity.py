"""Whether pods fit: the same result as an exhaustive search."""

from itertools import product

from hypothesis import given
from hypothesis import strategies as st

from gpuwise.model.inventory import GpuRequest
from gpuwise.recommend.engines.node_underutilised.free_capacity import fitted

GPU, SLICE = "nvidia.com/gpu", "nvidia.com/mig-1g.10gb"
requests = st.lists(st.builds(GpuRequest, st.sampled_from([GPU, SLICE]), st.integers(1, 4)), max_size=4)
capacities = st.dictionaries(
    st.sampled_from([GPU, SLICE]), st.dictionaries(st.sampled_from("abcd"), st.integers(0, 6), max_size=4)
)


def fits(nodes, requests, capacity):
    used = {}
    for request, node in zip(requests, nodes, strict=True):
        used[request.resource, node] = used.get((request.resource, node), 0) + request.count
    return all(count <= capacity.get(resource, {}).get(node, 0) for (resource, node), count in used.items())


@given(requests, capacities)
def test_pods_fit_if_any_assignment_does(requests, capacity):
    nodes = fitted(requests, capacity)
    possible = any(fits(some, requests, capacity) for some in product("abcd", repeat=len(requests)))
    assert (nodes is not None) == possible
    assert nodes is None or fits(nodes, requests, capacity)
