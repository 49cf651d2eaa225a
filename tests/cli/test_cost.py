"""`gpuwise cost` on a small history."""

import csv
import io

from click.testing import CliRunner

from gpuwise.cli.commands import gpuwise
from gpuwise.memory.ledger import SqliteLedger
from gpuwise.model.cost import CostDay, CostRow, GpuSeconds, Owner, Price
from gpuwise.model.usage import DAY_S

FIRST_S = 1_794_182_400  # Monday 2026-11-09 00:00 UTC


def test_a_day_is_a_date(tmp_path):
    days = [FIRST_S, FIRST_S + DAY_S]
    with SqliteLedger(tmp_path / "ledger.db") as ledger:
        ledger.costs().record(
            [CostDay(day_s, day_s, day_s + DAY_S, closed=True) for day_s in days],
            [
                CostRow(day_s, Owner("apps", team="ml"), Price(usd_per_gpu_h=2.0), GpuSeconds(used=3_600.0 * hours))
                for day_s, hours in zip(days, (5, 4), strict=True)
            ],
        )
    asked = ["cost", "--ledger", str(tmp_path / "ledger.db"), "--now", str(FIRST_S + 2 * DAY_S), "--window", "week"]
    done = CliRunner().invoke(gpuwise, [*asked, "--by", "team,day", "-o", "csv"])
    found = [(one["team"], one["day"], one["usd"]) for one in csv.DictReader(io.StringIO(done.stdout))]
    assert found == [("ml", "2026-11-09", "10.0"), ("ml", "2026-11-10", "8.0")]
