import pytest
from tests.series import WORKLOAD

from gpuwise.memory.checkpoints import SqliteCheckpoints
from gpuwise.model.errors import InputError

OTHER = type(WORKLOAD)(WORKLOAD.namespace, WORKLOAD.kind, WORKLOAD.name, "uid-2")  # recreated under the same name


def test_what_was_saved_is_loaded_in_the_order_of_its_names(tmp_path):
    with SqliteCheckpoints(tmp_path / "deep" / "hours.db", "here") as kept:
        kept.save({WORKLOAD: {"today": b"c", "past": b"a"}, OTHER: {"past": b"o"}})
        kept.save({WORKLOAD: {"today": b"newer"}})
        assert kept.load([WORKLOAD, OTHER]) == {WORKLOAD: [b"a", b"newer"], OTHER: [b"o"]}


def test_it_survives_a_restart(tmp_path):
    with SqliteCheckpoints(tmp_path / "hours.db", "here") as kept:
        kept.save({WORKLOAD: {"past": b"a"}})
    with SqliteCheckpoints(tmp_path / "hours.db", "here") as kept:
        assert kept.load([WORKLOAD]) == {WORKLOAD: [b"a"]}


def test_another_source_and_a_recreated_workload_have_their_own_hours(tmp_path):
    with SqliteCheckpoints(tmp_path / "hours.db", "here") as kept:
        kept.save({WORKLOAD: {"past": b"a"}})
        assert kept.load([OTHER]) == {OTHER: []}
    with SqliteCheckpoints(tmp_path / "hours.db", "there") as kept:
        assert kept.load([WORKLOAD]) == {WORKLOAD: []}


def test_two_processes_may_write_at_once(tmp_path):
    with (
        SqliteCheckpoints(tmp_path / "hours.db", "here") as one,
        SqliteCheckpoints(tmp_path / "hours.db", "here") as two,
    ):
        one.save({WORKLOAD: {"past": b"a"}})
        two.save({WORKLOAD: {"today": b"b"}})
        assert one.load([WORKLOAD]) == {WORKLOAD: [b"a", b"b"]}


@pytest.mark.parametrize("spoil", [lambda path: path.write_text("no database" * 99), lambda path: path.mkdir()])
def test_a_file_of_another_kind_is_an_error_that_names_it(tmp_path, spoil):
    path = tmp_path / "hours.db"
    spoil(path)
    with pytest.raises(InputError, match=r"cannot use the checkpoint file .*hours\.db: .*delete it .it is a cache"):
        SqliteCheckpoints(path, "here")


def test_the_hours_of_workloads_that_are_gone_for_long_are_collected(tmp_path):
    day_s = 86_400
    with SqliteCheckpoints(tmp_path / "hours.db", "there") as elsewhere:
        elsewhere.save({OTHER: {"past": b"e"}})
    with SqliteCheckpoints(tmp_path / "hours.db", "here") as kept:
        kept.save({WORKLOAD: {"past": b"a", "today": b"b"}, OTHER: {"past": b"o"}})
        for day in (0, 1, 100):  # it is noted on day 0, although it was not listed
            kept.collect([WORKLOAD], now_s=day * day_s)
            assert kept.load([OTHER]) == {OTHER: [b"o"]}
        kept.collect([WORKLOAD], now_s=101 * day_s)
        assert kept.load([WORKLOAD, OTHER]) == {WORKLOAD: [b"a", b"b"], OTHER: []}
    with SqliteCheckpoints(tmp_path / "hours.db", "there") as elsewhere:
        assert elsewhere.load([OTHER]) == {OTHER: [b"e"]}
