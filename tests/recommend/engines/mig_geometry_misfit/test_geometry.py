"""The MIG geometries of a GPU."""

import pytest

from gpuwise.model.gpu import GPU_TYPES, named
from gpuwise.recommend.engines.mig_geometry_misfit.geometry import geometries, offers

WITH_MIG = [gpu for gpu in GPU_TYPES if gpu.mig_profiles]


def names(gpu, geometry):
    return sorted(gpu.mig_profiles[profile].name.partition(".")[0] for profile, _ in geometry.slices)


def test_an_a30_has_four_geometries():
    """NVIDIA's MIG User Guide, A30: 4g, or 2g and 2g, or a 2g as two 1g."""
    gpu = named("A30")
    found = sorted(names(gpu, geometry) for geometry in geometries(gpu.mig_profiles))
    assert found == [["1g"] * 4, ["1g", "1g", "2g"], ["2g", "2g"], ["4g"]]


def test_an_a100_has_twelve_geometries_without_the_double_memory_1g():
    """NVIDIA's MIG User Guide, A100, without geometries that are contained in another or have the same slices."""
    gpu = named("A100-40GB")
    plain = [profile for profile in gpu.mig_profiles if profile.name != "1g.10gb"]
    found = {tuple(offer) for offer in offers(geometries(plain), 5).tolist()}
    assert found == {
        (0, 0, 0, 0, 1),
        (0, 0, 1, 1, 0),
        (0, 0, 2, 0, 0),
        (0, 2, 1, 0, 0),
        (1, 1, 0, 1, 0),
        (1, 3, 0, 0, 0),
        (2, 1, 1, 0, 0),
        (3, 0, 0, 1, 0),
        (3, 2, 0, 0, 0),
        (4, 0, 1, 0, 0),
        (5, 1, 0, 0, 0),
        (7, 0, 0, 0, 0),
    }


@pytest.mark.parametrize("gpu", WITH_MIG, ids=lambda gpu: gpu.name)
def test_no_geometry_has_overlapping_slices_or_more_than_the_gpu_has(gpu):
    whole = gpu.mig_profiles[-1]
    for geometry in geometries(gpu.mig_profiles):
        profiles = [(gpu.mig_profiles[number], start) for number, start in geometry.slices]
        taken = [start + offset for profile, start in profiles for offset in range(profile.memory_slices)]
        assert len(set(taken)) == len(taken)
        assert max(taken) < whole.memory_slices
        assert all(start in profile.starts for profile, start in profiles)
        assert sum(profile.compute_slices for profile, _ in profiles) <= gpu.compute_slices


@pytest.mark.parametrize("gpu", WITH_MIG, ids=lambda gpu: gpu.name)
def test_no_geometry_contains_another_and_each_profile_reaches_its_maximum(gpu):
    found = offers(geometries(gpu.mig_profiles), len(gpu.mig_profiles))
    contained = (found[:, None] <= found[None]).all(axis=2)
    assert contained.sum() == len(found)
    assert found.max(axis=0).tolist() == [profile.per_card for profile in gpu.mig_profiles]
