"""Five failovers on real processes; `python -m tests.failovers 50` runs more."""

import pytest

from tests.failovers.__main__ import run

pytestmark = [
    pytest.mark.parts,
    pytest.mark.emulator_only(reason="starts an API server of its own for each failover"),
]


def test_i6_no_effect_after_a_takeover_and_no_budget_is_exceeded_while_a_write_hangs(capsys):
    code = run(5)
    printed = capsys.readouterr().out
    assert code == 0, printed
    assert "5 failovers, 0 violations" in printed
