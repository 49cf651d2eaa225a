"""A pytest plugin for `make conformance`: it runs the tests that use a cluster and records them in conformance.md."""

import time
from collections import Counter, defaultdict
from collections.abc import Iterable
from pathlib import Path

import pytest

from tests.cluster_under_test import KUBECONFIG

PAGE = Path(__file__).parents[1] / "docs" / "conformance.md"
BEGIN, END = "<!-- last run on a real API server: begin -->", "<!-- last run on a real API server: end -->"
ONLY = "emulator only: "
OUTCOMES = ("passed", "failed", "skipped")


class Record:
    """The outcome of each test."""

    def __init__(self) -> None:
        self.outcomes: dict[str, str] = {}
        self.reasons: dict[str, str] = {}
        self.started = time.monotonic()

    def pytest_runtest_logreport(self, report: pytest.TestReport) -> None:
        """Record a test's outcome: the worst phase counts, and an error of a fixture is a failure."""
        if report.failed:
            self.outcomes[report.nodeid] = "failed"
        elif report.skipped:
            self.outcomes[report.nodeid] = "skipped"
            self.reasons[report.nodeid] = report.longrepr[2].removeprefix("Skipped: ")
        elif report.when == "call":
            self.outcomes.setdefault(report.nodeid, "passed")

    def pytest_sessionfinish(self, session: pytest.Session) -> None:
        """Write the section if the run completed."""
        if session.exitstatus not in (pytest.ExitCode.OK, pytest.ExitCode.TESTS_FAILED) or not self.outcomes:
            return
        write(section(self.outcomes, self.reasons, server_version(), time.monotonic() - self.started))


def pytest_configure(config: pytest.Config) -> None:
    """Register the plugin."""
    if KUBECONFIG is None:
        pytest.exit("GPUWISE_TEST_KUBECONFIG must name the kubeconfig of a cluster for tests")
    config.pluginmanager.register(Record())


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Deselect tests that do not use the cluster."""
    chosen = [item for item in items if _uses_cluster(item)]
    config.hook.pytest_deselected(items=[item for item in items if not _uses_cluster(item)])
    items[:] = chosen


def _uses_cluster(item: pytest.Item) -> bool:
    used = getattr(item, "fixturenames", ())
    return "start_cluster" in used or item.get_closest_marker("emulator_only") is not None


def server_version() -> str:
    """The version reported by the server."""
    from tests.real_cluster.connection import Connection

    connection = Connection(str(KUBECONFIG))
    version = connection.must("GET", "/version")
    connection.close()
    return f"{version['gitVersion']} ({version['platform']})"


def section(outcomes: dict[str, str], reasons: dict[str, str], version: str, took_s: float) -> str:
    """The section as Markdown."""
    by_file: dict[str, Counter[str]] = defaultdict(Counter)
    for test, outcome in outcomes.items():
        by_file[test.partition("::")[0]][outcome] += 1
    rows = [_row(f"`{file}`", counts) for file, counts in sorted(by_file.items())]
    failed = [f"- `{test}`" for test, outcome in outcomes.items() if outcome == "failed"]
    only = {test: reason.removeprefix(ONLY) for test, reason in reasons.items() if reason.startswith(ONLY)}
    other = {test: reason for test, reason in reasons.items() if not reason.startswith(ONLY)}
    total = sum(by_file.values(), Counter())
    counts = ", ".join(f"{total[one]} {one}" for one in OUTCOMES)
    day = time.strftime("%Y-%m-%d", time.gmtime())
    lines = [
        f"Server {version}, {day}, {took_s / 60:.0f} minutes: {len(outcomes)} tests, {counts}.",
        "",
        "| suite | run | passed | failed | skipped |",
        "|---|---:|---:|---:|---:|",
        *rows,
        _row("all", total),
        *_listed("Failed:", failed),
        *_listed("Only on the emulator:", _by_reason(only)),
        *_listed("Skipped for another reason:", _by_reason(other)),
    ]
    return "\n".join(lines)


def _row(name: str, counts: Counter[str]) -> str:
    run = counts["passed"] + counts["failed"]
    return f"| {name} | {run} | {' | '.join(str(counts[one]) for one in OUTCOMES)} |"


def _by_reason(reasons: dict[str, str]) -> Iterable[str]:
    """One line per reason, with its tests; parameters are omitted."""
    tests: dict[str, list[str]] = defaultdict(list)
    for test, reason in reasons.items():
        tests[reason].append(test.partition("[")[0])
    for reason, names in tests.items():
        yield f"- {reason}: {', '.join(f'`{name}`' for name in dict.fromkeys(names))}"


def _listed(title: str, lines: Iterable[str]) -> list[str]:
    found = list(lines)
    return ["", title, "", *found] if found else []


def write(text: str) -> None:
    """Replace the section between its markers; the rest of the page stays."""
    before, begin, rest = PAGE.read_text().partition(BEGIN)
    _, end, after = rest.partition(END)
    if not (begin and end):
        raise ValueError(f"{PAGE} has no line {BEGIN!r}, or no {END!r} after it")
    PAGE.write_text(f"{before}{BEGIN}\n{text}\n{END}{after}")
