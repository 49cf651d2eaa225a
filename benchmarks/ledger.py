"""A ledger of a million events: opening it, against verifying it as a whole, and what a pass of the loop reads of it.

The events are intents and their outcomes, over ten years, on 20,000 targets. Each figure is measured in a new process,
after one that has verified the file as a whole. The figures:

ledger_open_s         seconds to open the file and to verify its new rows and the next 20,000 earlier ones, divided by
                      `machine_factor`
ledger_whole_s        seconds to verify every row, as `gpuwise doctor` does
ledger_pass_ms        what a decision reads for 1,000 targets: their attempts, those of the budget's hour, what is open
ledger_resident_mib   memory of the process after both
"""

import json
import sqlite3
import sys
import tempfile
import time
from contextlib import closing
from pathlib import Path

from benchmarks.measure import at_most, in_a_process_of_its_own, machine_factor, scaled

from gpuwise.memory import ledger_chain as chain
from gpuwise.memory.ledger import SqliteLedger
from gpuwise.model.changes import ScaleTo
from gpuwise.model.codec import to_json
from gpuwise.model.command import Command, Intent, Outcome, OutcomeStatus
from gpuwise.model.inventory import WorkloadRef

GOALS = {"ledger_open_s": at_most(1.0)}

EVENTS = scaled(1_000_000, least=50_000, multiple=2)
TARGETS = 20_000
_BEGAN_S = 1_480_000_000
_TEN_YEARS_S = 10 * 365 * 86_400
_HOUR_S = 3_600


def figures() -> dict[str, float]:
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "ledger.db"
        _write(path)
        whole = in_a_process_of_its_own("benchmarks.ledger", "whole", path)
        opened = in_a_process_of_its_own("benchmarks.ledger", "open", path)
    return whole | opened | {"ledger_open_s": opened["ledger_open_s"] / machine_factor()}


def _write(path: Path) -> None:
    SqliteLedger(path).close()
    last, rows = chain.GENESIS, []
    for number in range(EVENTS // 2):
        at_s = _BEGAN_S + number * _TEN_YEARS_S // (EVENTS // 2)
        ref = WorkloadRef("research", "Deployment", f"chat-{number % TARGETS}", f"uid-{number % TARGETS}")
        command = Command(f"a-{number}", f"r-{number % TARGETS}", ref, ScaleTo(0), "policy")
        intent = Intent(command, at_s, str(number), {"replicas": 2}, {"replicas": 0})
        outcome = Outcome(command.id, at_s + 1, OutcomeStatus.APPLIED, None, "2 to 0")
        for kind, event in (("intent", intent), ("outcome", outcome)):
            body = to_json(event)
            last = chain.link(last, event.at_s, kind, command.id, body)
            rows.append((len(rows) + 1, event.at_s, kind, command.id, body, last))
    with closing(sqlite3.connect(path)) as file, file:
        file.executemany("INSERT INTO events VALUES (?, ?, ?, ?, ?, ?)", rows)


def _measured(what: str, path: Path) -> dict[str, float]:
    began = time.perf_counter()
    with SqliteLedger(path) as ledger:
        opened_s = time.perf_counter() - began
        if what == "whole":
            began = time.perf_counter()
            ledger.verify(whole=True)
            return {"ledger_whole_s": time.perf_counter() - began}
        began = time.perf_counter()
        intents, _ = ledger.attempts(
            since_s=_BEGAN_S + _TEN_YEARS_S - _HOUR_S, uids=[f"uid-{number}" for number in range(1_000)]
        )
        unsettled = ledger.unsettled()
        read_s = time.perf_counter() - began
    assert len(intents) >= EVENTS // 2 // TARGETS
    assert unsettled == []
    status = dict(line.split(":", 1) for line in Path("/proc/self/status").read_text().splitlines())
    resident_mib = int(status["VmHWM"].split()[0]) / 1024
    return {"ledger_open_s": opened_s, "ledger_pass_ms": read_s * 1e3, "ledger_resident_mib": resident_mib}


def main() -> None:
    print(json.dumps(_measured(sys.argv[1], Path(sys.argv[2]))))


if __name__ == "__main__":
    main()
