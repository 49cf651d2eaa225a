import os
import pickle
import sys
import time
from contextlib import ExitStack
from functools import partial

import numpy as np
import pytest
from tests.recordings import NOW_S, record_fleet
from tests.usages import same

from gpuwise.model.errors import GpuwiseError, InputError, SourceError
from gpuwise.schedule.in_process import InProcess
from gpuwise.schedule.limits import Limits
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


@pytest.mark.parametrize("address", ["auto", "10.0.0.1", "ray://", "ray://head:client", "head:99999"])
def test_an_address_without_host_and_port_says_how_to_write_it(address):
    from gpuwise.schedule.on_ray import RayExecutor

    with pytest.raises(SourceError, match="has no host and port; give it as HOST:PORT or ray://HOST:PORT"):
        RayExecutor(address)


def test_no_secret_is_in_what_is_sent_to_workers(tmp_path):
    """The settings hold the file; the worker reads it. A secret in the configuration itself is refused."""
    from gpuwise.config import load
    from gpuwise.score.shard import score_packed
    from gpuwise.wiring import executor, prometheus

    secrets = {"bearer": "secret-of-a-token", "header": "secret-of-a-header"}
    for name, secret in secrets.items():
        (tmp_path / name).write_text(secret)
    file = tmp_path / "gpuwise.yaml"
    file.write_text(
        f"""
        prometheus:
          url: http://prometheus:9090
          bearer_token_file: {tmp_path}/bearer
          header_files: {{X-Key: {tmp_path}/header}}
        """
    )
    source = prometheus(load(file, {}, {}))
    sent = pickle.dumps((partial(score_packed, source), source.identity))
    assert not any(secret.encode() in sent for secret in secrets.values())
    assert source.settings.all_headers == {"X-Key": secrets["header"], "Authorization": f"Bearer {secrets['bearer']}"}
    for given in ("url: http://me:secret@prometheus:9090", "{url: 'http://p:9090', headers: {Authorization: Basic x}}"):
        text = given if given.startswith("{") else f"{{{given}}}"
        file.write_text(f"prometheus: {text}\nschedule: {{executor: ray}}\n")
        with pytest.raises(InputError, match="contains a secret"), ExitStack() as stack:
            executor(load(file, {}, {}), stack)


def add_after(wait_s):
    time.sleep(wait_s)
    return wait_s


def test_an_item_that_takes_too_long_is_cancelled_and_named(ray_head):
    from gpuwise.schedule.on_ray import RayExecutor

    limits = Limits(item_s=10.0, tries=1)
    with RayExecutor(ray_head, limits=limits) as executor, pytest.raises(SourceError) as raised:
        list(executor.map(add_after, [600.0]))
    assert "shard 0 failed on node" in raised.value.problem
    assert "it took longer than 10 s" in raised.value.problem
    assert raised.value.hint == "raise schedule.item_timeout_s"


@pytest.mark.parts
def test_all_together_have_a_deadline(ray_head):
    from gpuwise.schedule.on_ray import RayExecutor

    with (
        RayExecutor(ray_head, limits=Limits(total_s=15.0)) as executor,
        pytest.raises(SourceError, match="longer than"),
    ):
        list(executor.map(add_after, [600.0]))


def other_facts():
    return {"recording": str(os.getpid())}


def test_a_node_with_other_data_takes_no_work_and_is_named(ray_head):
    from gpuwise.schedule.on_ray import RayExecutor

    with RayExecutor(ray_head) as executor, pytest.raises(SourceError) as raised:
        list(executor.map(add_after, [0.0], same=other_facts))
    assert "can take work: node" in raised.value.problem
    assert f"instead of {os.getpid()}" in raised.value.problem


def test_results_name_the_node_and_its_version(on_ray):
    import gpuwise

    before = on_ray.ran_on.total()
    assert list(on_ray.map(add_after, [0.0] * 5)) == [0.0] * 5
    assert on_ray.ran_on.total() == before + 5
    assert {version for _, version in on_ray.ran_on} == {gpuwise.__version__}


def shout(item):
    os.write(1, b"a worker writes to stdout\n")
    sys.stdout.write("and so does Python\n")
    return item


def test_what_a_worker_prints_reaches_no_output(on_ray, capfd):
    assert list(on_ray.map(shout, [1, 2])) == [1, 2]
    assert capfd.readouterr() == ("", "")


def test_large_items_and_results_do_not_block_each_other(on_ray):
    """Both sides send more than a pipe holds."""
    items = [bytes([number]) * 3_000_000 for number in range(30)]
    assert list(on_ray.map(bytes.upper, items)) == [item.upper() for item in items]


def test_results_that_nobody_wants_do_not_reach_the_next_work(on_ray):
    first = on_ray.map(abs, range(-20, 0))
    assert next(first) == 20
    first.close()
    assert list(on_ray.map(str, range(10))) == [str(number) for number in range(10)]


class Noted:
    """Work that writes the process in which it is unpickled to a file."""

    def __init__(self, file):
        self.file = file

    def __setstate__(self, state):
        self.__dict__ |= state
        with open(self.file, "a") as log:  # noqa: PTH123 - the worker has no pathlib import of ours
            log.write(f"{os.getpid()}\n")

    def __call__(self, item):
        return os.getpid(), item


def test_a_worker_reads_the_work_once_and_not_for_each_item(on_ray, tmp_path):
    """With the work comes the inventory: read for each item, it would cost the square of the fleet's size."""
    found = list(on_ray.map(Noted(str(tmp_path / "log")), range(12)))
    assert [item for _, item in found] == list(range(12))
    read = [int(line) for line in (tmp_path / "log").read_text().split()]
    workers = {process for process, _ in found}
    assert len(workers) < len(found)
    assert {process: read.count(process) for process in workers} == dict.fromkeys(workers, 1)
