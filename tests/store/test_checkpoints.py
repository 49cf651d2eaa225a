import pytest
from tests.series import WORKLOAD

from gpuwise.model.errors import InputError
from gpuwise.store.checkpoints import SqliteCheckpoints


def test_what_was_saved_is_loaded_by_day_oldest_first(tmp_path):
    with SqliteCheckpoints(tmp_path / "deep" / "hours.db", "here") as kept:
        kept.save(WORKLOAD, {3: b"c", 1: b"a"})
        kept.save(WORKLOAD, {2: b"b", 3: b"newer"})
        assert kept.load([WORKLOAD], first_day=1, end_day=4) == {WORKLOAD: [b"a", b"b", b"newer"]}
        assert kept.load([WORKLOAD], first_day=2, end_day=3) == {WORKLOAD: [b"b"]}


def test_it_survives_a_restart(tmp_path):
    with SqliteCheckpoints(tmp_path / "hours.db", "here") as kept:
        kept.save(WORKLOAD, {1: b"a"})
    with SqliteCheckpoints(tmp_path / "hours.db", "here") as kept:
        assert kept.load([WORKLOAD], first_day=0, end_day=9) == {WORKLOAD: [b"a"]}


def test_another_source_and_a_recreated_namesake_are_others(tmp_path):
    with SqliteCheckpoints(tmp_path / "hours.db", "here") as kept:
        kept.save(WORKLOAD, {1: b"a"})
        other = type(WORKLOAD)(WORKLOAD.namespace, WORKLOAD.kind, WORKLOAD.name, "uid-2")
        assert kept.load([other], first_day=0, end_day=9) == {other: []}
    with SqliteCheckpoints(tmp_path / "hours.db", "there") as kept:
        assert kept.load([WORKLOAD], first_day=0, end_day=9) == {WORKLOAD: []}


def test_days_older_than_any_look_back_are_dropped(tmp_path):
    with SqliteCheckpoints(tmp_path / "hours.db", "here") as kept:
        kept.save(WORKLOAD, {1: b"old"})
        kept.save(WORKLOAD, {200: b"new"})
        assert kept.load([WORKLOAD], first_day=0, end_day=999) == {WORKLOAD: [b"new"]}


def test_two_processes_may_keep_at_once(tmp_path):
    with (
        SqliteCheckpoints(tmp_path / "hours.db", "here") as one,
        SqliteCheckpoints(tmp_path / "hours.db", "here") as two,
    ):
        one.save(WORKLOAD, {1: b"a"})
        two.save(WORKLOAD, {2: b"b"})
        assert one.load([WORKLOAD], first_day=0, end_day=9) == {WORKLOAD: [b"a", b"b"]}


@pytest.mark.parametrize("spoil", [lambda path: path.write_text("no database" * 99), lambda path: path.mkdir()])
def test_a_file_that_is_something_else_is_named(tmp_path, spoil):
    path = tmp_path / "hours.db"
    spoil(path)
    with pytest.raises(InputError, match=r"hours\.db cannot keep hours: .*delete it .it is a cache"):
        SqliteCheckpoints(path, "here")
