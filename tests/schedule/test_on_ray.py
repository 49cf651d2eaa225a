import os
import pickle

import numpy as np
import pytest
from tests.recordings import NOW_S, record_fleet
from tests.usages import same

from gpuwise.model.errors import GpuwiseError, SourceError
from gpuwise.schedule.in_process import InProcess
from gpuwise.score.settings import ScoreSettings
from gpuwise.score.shard import Shard, score_shard
from gpuwise.sources.kubernetes.inventory import KubernetesInventory, RecordedObjects
from gpuwise.sources.recording import RecordedUsage

pytestmark = pytest.mark.xdist_group("ray")  # see ray_head


def test_all_ray_tests_share_one_worker_and_one_ray(request):
    """Without --dist loadgroup, pytest-xdist would spread the group over all workers."""
    if getattr(request.config.option, "loadgroup", False):
        assert request.node.nodeid.endswith("@ray")


@pytest.fixture(scope="module")
def on_ray(ray_head):
    from gpuwise.schedule.on_ray import RayExecutor

    with RayExecutor(ray_head) as executor:
        yield executor


@pytest.fixture(scope="module")
def recording(tmp_path_factory):
    folder = tmp_path_factory.mktemp("fleet")
    return folder, record_fleet(folder, nodes=6, days=2)


def test_scoring_on_ray_equals_local_scoring_bit_for_bit(on_ray, recording):
    from functools import partial

    folder, window = recording
    fleet = KubernetesInventory(RecordedObjects(folder / "inventory.json")).snapshot(NOW_S)
    work = partial(score_shard, RecordedUsage(folder), fleet, window, ScoreSettings())
    shards = [Shard(fleet.workloads[i : i + 3]) for i in range(0, len(fleet.workloads), 3)]
    here, there = (
        [scored.use for shard in executor.map(work, shards) for scored in shard] for executor in (InProcess(), on_ray)
    )
    assert len(here) == len(fleet.workloads) > 10
    assert [one.profile.workload for one in here] == [one.profile.workload for one in there]
    assert same(tuple(here), tuple(there))


def test_the_driver_gets_bytes_and_unpacks_no_profile(on_ray, recording):
    import gc
    from functools import partial

    from gpuwise.memory.profile_file import ProfileFile
    from gpuwise.model.profile import UsageProfile
    from gpuwise.score.shard import score_packed

    def alive() -> int:
        return sum(type(one) is UsageProfile for one in gc.get_objects())

    folder, window = recording
    fleet = KubernetesInventory(RecordedObjects(folder / "inventory.json")).snapshot(NOW_S)
    work = partial(score_packed, RecordedUsage(folder), fleet, window, ScoreSettings())
    shards = [Shard(fleet.workloads[i : i + 3]) for i in range(0, len(fleet.workloads), 3)]
    here, there = ProfileFile(), ProfileFile()
    gc.collect()
    before = alive()
    for scored in on_ray.map(work, shards):
        there.add(scored.profiles)
        assert alive() == before
    for scored in InProcess().map(work, shards):
        here.add(scored.profiles)
    assert len(there) == len(fleet.workloads) > 10
    assert same(tuple(here.items()), tuple(there.items()))
    assert same(tuple(here.billed.items()), tuple(there.billed.items()))


def test_results_come_in_the_items_order(on_ray):
    assert list(on_ray.map(np.sqrt, [float(n) for n in range(40)])) == [float(np.sqrt(n)) for n in range(40)]


def die_once(marker):
    if not os.path.exists(marker):  # noqa: PTH110 - the worker has no pathlib import of ours
        open(marker, "w").close()  # noqa: PTH123
        os._exit(1)
    return "done"


def test_a_worker_that_dies_is_replaced(on_ray, tmp_path):
    assert list(on_ray.map(die_once, [str(tmp_path / "died")])) == ["done"]
    assert (tmp_path / "died").exists()


def refuse(_item):
    raise SourceError("Prometheus returned 503", hint="try again later")


def test_an_error_in_a_worker_is_the_same_error_here(on_ray):
    with pytest.raises(SourceError, match="Prometheus returned 503; try again later"):
        list(on_ray.map(refuse, [1]))


def test_errors_survive_a_pickle():
    error = pickle.loads(pickle.dumps(SourceError("what", hint="how")))
    assert (type(error), error.problem, error.hint) == (SourceError, "what", "how")
    assert isinstance(error, GpuwiseError)


def test_an_unreachable_ray_is_a_one_line_error_with_a_hint():
    import subprocess
    import sys

    code = "from gpuwise.schedule.on_ray import RayExecutor; RayExecutor('127.0.0.1:1')"
    found = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False, timeout=300)
    assert "SourceError: cannot join Ray at 127.0.0.1:1" in found.stderr
    assert "check --ray-address" in found.stderr
