"""Five failovers on real processes and some on the virtual clock; `make faults` runs 50 and 500."""

import pytest

from gpuwise.enact import KubernetesEnactor
from tests.failovers.__main__ import main
from tests.failovers.result import passed, violations
from tests.failovers.simulated import simulated


def test_i6_no_effect_after_a_takeover_on_the_virtual_clock():
    results = [simulated(seed) for seed in range(20)]
    assert passed(results), results


def test_i6_without_the_fence_a_write_that_hung_takes_effect_after_it_was_written_off(monkeypatch):
    monkeypatch.setattr(KubernetesEnactor, "_fenced", lambda self, intent, now_s: None)
    monkeypatch.setattr("gpuwise.enact.enactor._IN_FLIGHT_S", 0)
    assert violations([simulated(seed) for seed in range(20)]) > 0


@pytest.mark.parts
@pytest.mark.emulator_only(reason="starts an API server of its own for each failover")
def test_i6_no_effect_after_a_takeover_and_no_budget_is_exceeded_while_a_write_hangs(capsys):
    code = main(0, 5)
    printed = capsys.readouterr().out
    assert code == 0, printed
    assert "5 failovers of real processes, 0 violations" in printed
