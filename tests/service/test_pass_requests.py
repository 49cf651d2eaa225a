"""Many alerts become one pass, and passes that alerts ask for have a least time between them."""

import threading

import pytest
from prometheus_client import CollectorRegistry

from gpuwise.model.command import Alert
from gpuwise.service.pass_requests import MOST_ALERTS, PassRequests


class Clock:
    def __init__(self):
        self.now_s = 1_000.0

    def __call__(self):
        return self.now_s


@pytest.fixture
def clock():
    return Clock()


@pytest.fixture
def requests(clock):
    return PassRequests(300, monotonic=clock)


def alert(number=0) -> Alert:
    return Alert("GpuwiseGpuLost", f"f{number}", {"gpu": str(number)}, "2026-06-01T00:00:00Z")


def counted(requests, result):
    registry = CollectorRegistry()
    registry.register(requests)
    return registry.get_sample_value("gpuwise_alert_notifications_total", {"result": result})


def test_before_the_first_pass_an_alert_is_due_at_once(requests):
    assert requests.ask([alert()]) == 0


def test_alerts_that_wait_share_one_pass_and_each_is_listed_once(requests):
    for number in (1, 2, 1):
        requests.ask([alert(number)])
    asked = requests.take()
    assert asked is not None
    assert [one.fingerprint for one in asked.alerts] == ["f1", "f2"]
    assert requests.take() is None
    assert (counted(requests, "requested"), counted(requests, "joined")) == (1, 2)


def test_a_pass_that_an_alert_asks_for_starts_no_sooner_than_the_least_time_after_the_last(requests, clock):
    requests.take()
    clock.now_s += 100
    assert requests.ask([alert()]) == 200
    clock.now_s += 200
    assert requests.ask([alert()]) == 0


def test_the_list_of_alerts_is_bounded_and_the_rest_is_counted(requests):
    requests.ask([alert(number) for number in range(MOST_ALERTS + 7)])
    asked = requests.take()
    assert asked is not None
    assert (len(asked.alerts), asked.unlisted) == (MOST_ALERTS, 7)


def waited(requests, pause_s, stop):
    """Wait on another thread; returns the thread."""
    thread = threading.Thread(target=requests.wait, args=(pause_s, stop))
    thread.start()
    return thread


@pytest.mark.parametrize("end", ["alert", "stop"])
def test_waiting_ends_at_once_for_an_alert_and_for_a_stop(end):
    requests, stop = PassRequests(0), threading.Event()
    thread = waited(requests, 3_600, stop)
    if end == "alert":
        requests.ask([alert()])
    else:
        stop.set()
        requests.wake()
    thread.join(timeout=60)
    assert not thread.is_alive()


def test_an_alert_does_not_end_the_wait_before_the_least_time(clock):
    requests, stop = PassRequests(300, monotonic=clock), threading.Event()
    requests.take()
    thread = waited(requests, 3_600, stop)
    requests.ask([alert()])
    thread.join(timeout=0.2)
    assert thread.is_alive()
    clock.now_s += 300
    requests.wake()
    thread.join(timeout=60)
    assert not thread.is_alive()


def test_the_schedule_does_not_wait_for_alerts(requests):
    requests.wait(0, threading.Event())
    assert requests.take() is None
