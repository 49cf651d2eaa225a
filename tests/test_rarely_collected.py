"""The collector of cycles runs more rarely in a step, and only there."""

import gc

import pytest

from gpuwise.pipeline import rarely_collected


@pytest.fixture(autouse=True)
def _restored():
    before = gc.get_threshold()
    yield
    gc.set_threshold(*before)


def test_it_runs_more_rarely_in_the_step_and_as_before_afterwards():
    before = gc.get_threshold()
    with rarely_collected():
        assert gc.get_threshold()[0] == 20_000
    assert gc.get_threshold() == before


def test_what_existed_before_the_step_is_not_visited_in_it():
    gc.collect()
    with rarely_collected():
        made = [[] for _ in range(10)]
        assert len(gc.get_objects()) < 1_000
    assert len(gc.get_objects()) > 1_000
    assert gc.get_freeze_count() == 0
    del made


def test_it_runs_as_before_after_an_error():
    before = gc.get_threshold()
    with pytest.raises(ZeroDivisionError), rarely_collected():
        1 / 0  # noqa: B018
    assert gc.get_threshold() == before


@pytest.mark.parametrize("threshold", [0, 200_000])
def test_it_never_runs_more_often_than_before(threshold):
    gc.set_threshold(threshold)
    with rarely_collected():
        assert gc.get_threshold()[0] == threshold
