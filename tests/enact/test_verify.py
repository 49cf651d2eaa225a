"""Waiting until a controller has observed a write."""

from types import SimpleNamespace

import pytest
from tests.fleet import workload

from gpuwise.enact import verify
from gpuwise.enact.target import Target


class Controller:
    """Observes the newest spec of a Deployment a while after the write; time passes only while somebody waits."""

    def __init__(self, monkeypatch, after_s):
        self.now_s, self.after_s, self.reads = 0.0, after_s, 0
        monkeypatch.setattr(verify, "time", SimpleNamespace(monotonic=lambda: self.now_s, sleep=self.sleep))

    def sleep(self, seconds):
        self.now_s += seconds

    def get(self, path):
        self.reads += 1
        observed = 7 if self.now_s >= self.after_s else 6
        return {"metadata": {"uid": "uid-1", "generation": 7}, "status": {"observedGeneration": observed}}


@pytest.mark.parametrize(("after_s", "late_s", "reads"), [(0.0, 0.0, 1), (0.025, 0.01, 3), (3.0, 0.2, 20)])
def test_it_reads_often_at_first_and_rarely_later(monkeypatch, after_s, late_s, reads):
    controller = Controller(monkeypatch, after_s)
    found = verify.settled(controller, workload().ref, timeout_s=5.0)
    assert isinstance(found, Target)
    assert found.item["status"]["observedGeneration"] == 7
    assert after_s <= controller.now_s <= after_s + late_s
    assert controller.reads <= reads


def test_it_stops_at_the_timeout_with_what_it_read_last(monkeypatch):
    controller = Controller(monkeypatch, after_s=60.0)
    found = verify.settled(controller, workload().ref, timeout_s=5.0)
    assert isinstance(found, Target)
    assert 5.0 <= controller.now_s <= 5.2
