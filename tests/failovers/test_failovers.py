"""Five failovers on real processes and some on the virtual clock; `make faults` runs 50 and 500."""

import pytest

from gpuwise.enact.recovering import Recoverer
from tests.failovers.__main__ import main
from tests.failovers.failover import failover
from tests.failovers.result import passed, violations
from tests.failovers.simulated import simulated
from tests.postgresql_server import PASSWORD, postgresql_server  # noqa: F401 - a fixture


def test_i6_no_effect_after_a_takeover_on_the_virtual_clock():
    results = [simulated(seed) for seed in range(20)]
    assert passed(results), results


@pytest.mark.parts
def test_i6_without_the_fence_a_write_that_hung_takes_effect_after_it_was_written_off(monkeypatch):
    monkeypatch.setattr(Recoverer, "_fenced", lambda self, intent, now_s: None)
    monkeypatch.setattr("gpuwise.enact.recovering._IN_FLIGHT_S", 0)
    assert violations([simulated(seed) for seed in range(20)]) > 0


@pytest.mark.parts
@pytest.mark.emulator_only(reason="starts an API server of its own for each failover")
def test_i6_no_effect_after_a_takeover_and_no_budget_is_exceeded_while_a_write_hangs(capsys):
    code = main(0, 5)
    printed = capsys.readouterr().out
    assert code == 0, printed
    assert "5 failovers of real processes, 0 violations" in printed


@pytest.mark.parts
@pytest.mark.emulator_only(reason="starts an API server of its own for each failover")
def test_i6_two_processes_with_one_postgresql_ledger_take_over_from_each_other(request, tmp_path):
    password = tmp_path / "password"
    password.write_text(PASSWORD)
    url = request.getfixturevalue("postgresql_server").new_schema()
    ledger = {"GPUWISE_LEDGER_URL": url, "GPUWISE_LEDGER_PASSWORD_FILE": str(password)}
    found = failover(tmp_path, 1, ledger)
    assert found.violations == ()
    assert found.resumed_s < 30
