"""Whether pods fit: exactly what trying everything finds."""

from itertools import product

from hypothesis import given
from hypothesis import strategies as st

from gpuwise.model.inventory import GpuRequest
from gpuwise.recommend.engines.node_underutilised.free_capacity import fitted

GPU, SLICE = "nvidia.com/gpu", "nvidia.com/mig-1g.10gb"
asked = st.lists(st.builds(GpuRequest, st.sampled_from([GPU, SLICE]), st.integers(1, 4)), max_size=4)
rooms = st.dictionaries(
    st.sampled_from([GPU, SLICE]), st.dictionaries(st.sampled_from("abcd"), st.integers(0, 6), max_size=4)
)


def fits(found, asked, rooms):
    used = {}
    for request, node in zip(asked, found, strict=True):
        used[request.resource, node] = used.get((request.resource, node), 0) + request.count
    return all(count <= rooms.get(resource, {}).get(node, 0) for (resource, node), count in used.items())


@given(asked, rooms)
def test_pods_fit_where_some_assignment_does(asked, rooms):
    found = fitted(asked, rooms)
    possible = any(fits(one, asked, rooms) for one in product("abcd", repeat=len(asked)))
    assert (found is not None) == possible
    assert found is None or fits(found, asked, rooms)
