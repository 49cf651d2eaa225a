"""Writes the generated pages of docs/ from the source (DOCUMENTS, below); --check only compares."""

import dataclasses
import importlib
import json
import re
import runpy
import sys
import typing
from pathlib import Path
from typing import Any

import grimp

from gpuwise.backtest.catalogue import BACKTESTS
from gpuwise.config import Config, variable
from gpuwise.decide.policies import AFTERWARDS
from gpuwise.decide.policies import POLICIES as CHECKS
from gpuwise.decide.schema import attribute_docs, policy_schema
from gpuwise.enact.images import parts_of
from gpuwise.model.codec import to_plain
from gpuwise.model.findings import Finding
from gpuwise.model.kinds import KINDS, QUEUED, Kind
from gpuwise.model.reasons import EARLIER_CODES, Reason
from gpuwise.model.signal import Signal
from gpuwise.recommend.policies import POLICIES, Policy
from gpuwise.report import wording
from gpuwise.sources.prometheus.names import TABLE

HERE = Path(__file__).parent


def rows(settings: Any, prefix: str = "") -> list[str]:
    """One table row per key."""
    docs, lines = attribute_docs(type(settings)), []
    for name in typing.get_type_hints(type(settings)):
        value = getattr(settings, name)
        if dataclasses.is_dataclass(value):
            lines += rows(value, f"{prefix}{name}.")
        else:
            default = "" if value is None else f"`{to_plain(value)}`"
            lines.append(f"| `{prefix}{name}` | `{variable(prefix + name)}` | {default} | {docs[name]} |")
    return lines


CONFIGURATION = """\
# Configuration

A flag overrides an environment variable, which overrides the file (`--config` or `GPUWISE_CONFIG`), which overrides the
default. In the file, a dot in a key is one level of nesting: `policy: {mode: approve}`. An unknown key is an error.
`gpuwise config print` shows the values in force.

| Key | Environment | Default | Meaning |
|---|---|---|---|
"""

FINDINGS = """\
# Findings

Each finding has the same name in the output, the code, the backtests and the tests; modules have it in snake case.

- The **stage** is the name of the method in `gpuwise explain`, in JSON and in the metrics. It is older than the
  finding, and stays so that output is compatible.
- A **method** decides from usage whether the finding applies, and what to do: `src/gpuwise/recommend/methods/`.
- An **engine** is the policy that the method calls: `src/gpuwise/recommend/engines/`. Without an engine the method
  decides by thresholds.
- **Research** is a policy that a backtest replays and no method calls yet: `src/gpuwise/research/`.
- A **backtest** replays policies on public traces: `src/gpuwise/backtest/`, `gpuwise backtest NAME`.

| Finding | Meaning | `stage` | Method and test | Engine | Research | Backtest |
|---|---|---|---|---|---|---|
"""

WITHOUT_FINDING = """
## Decisions that no finding uses yet

| Research | Backtest |
|---|---|
"""

REASONS = """\
# Reason codes

Every recommendation and every blocked change has a reason code. `gpuwise explain` shows it with the numbers behind it.
The last column has the code of release 0.1 if it was different: during an upgrade, select by both codes.

| Code | Meaning | Release 0.1 |
|---|---|---|
"""


def configuration() -> str:
    """docs/configuration.md."""
    return CONFIGURATION + "\n".join(rows(Config())) + "\n"


def reasons() -> str:
    """docs/reasons.md."""
    docs = attribute_docs(Reason)
    earlier = {reason: f"`{code.value}`" for reason, code in EARLIER_CODES.items()}
    lines = [f"| `{one.value}` | {docs[one.name]} | {earlier.get(one, '')} |" for one in Reason]
    return REASONS + "\n".join(lines) + "\n"


def name_of(finding: Finding) -> str:
    """The name of a finding's modules: GPUOverprovisioned is in gpu_overprovisioned, and Orphaned is part of idle."""
    named = Finding.IDLE if finding is Finding.ORPHANED else finding
    return re.sub(r"(?<=[a-z])(?=[A-Z])|(?<=[A-Z])(?=[A-Z][a-z])", "_", named.value).lower()


ENGINES = {Finding.DEADLINE_CAPACITY_MISFIT: "interruptible_on_demand"}
"""Findings whose engine is in the package of another one."""


def linked(folder: str, name: str, text: str = "") -> str:
    """A link to the module or package of that name, empty if there is none."""
    for path in (f"{folder}/{name}", f"{folder}/{name}.py"):
        if (HERE.parent / path).exists():
            return f"[`{text or name}`](../{path})"
    return ""


def backtest_names(name: str) -> str:
    """The backtests in the module or package of that name, by their names in `gpuwise backtest`."""
    home = f"gpuwise.backtest.{name}"
    names = [one.name for one in BACKTESTS if f"{one.load.__module__}.".startswith(f"{home}.")]
    return ", ".join(linked("src/gpuwise/backtest", name, one) for one in names)


def findings() -> str:
    """docs/findings.md."""
    lines = []
    for finding in Finding:
        name = name_of(finding)
        tested = f"{linked('src/gpuwise/recommend/methods', name)}, {linked('tests/recommend/methods', f'test_{name}')}"
        home = ENGINES.get(finding, name)
        engine, research = linked("src/gpuwise/recommend/engines", home), linked("src/gpuwise/research", name)
        stage = importlib.import_module(f"gpuwise.recommend.methods.{name}").STAGE
        cells = (
            f"`{finding.value}`",
            wording.finding(finding),
            f"`{stage}`",
            tested,
            engine,
            research,
            backtest_names(home),
        )
        lines.append(f"| {' | '.join(cells)} |")
    alone = ("memory_limit", "placement")
    rows = [f"| {linked('src/gpuwise/research', name)} | {backtest_names(name)} |" for name in alone]
    return FINDINGS + "\n".join(lines) + "\n" + WITHOUT_FINDING + "\n".join(rows) + "\n"


MEASURES = {Signal.REQUESTS: "requests answered"}
"""What the table of sources calls a signal, if not by its name."""

POLICY_PAGE = """\
# Policies: what decides, and how good it is

Each decision has one engine: the function that `gpuwise scan`, `plan`, `apply` and `run` call is the one that the
backtest replays. The list is `src/gpuwise/recommend/policies.py`; a test makes each engine fail, and its recommendation
is then missing and named as failed.

- **live**: gpuwise can apply the change, where a policy allows it.
- **advice**: a person applies the change.
- **research**: only a backtest plays it. An input is not measured in a running fleet, or no method calls it yet.

A figure is a line of [benchmarks/QUALITY.md](../benchmarks/QUALITY.md), on data that the policy was not fitted on,
unless the row says otherwise. [Backtests](backtests.md) explains the figures, and `gpuwise explain` shows them for a
recommendation.

"""


def policies() -> str:
    """docs/policies.md."""
    parts = [POLICY_PAGE, "| Policy | Status | Decides | Engine | Backtest | Figures |\n|---|---|---|---|---|---|\n"]
    parts += [f"| {' | '.join(policy_cells(one))} |\n" for one in POLICIES]
    parts.append("\n## Inputs\n\n| Policy | Status | Input | Supplied by |\n|---|---|---|---|\n")
    parts += [
        f"| `{one.name}` | {one.status.value} | {each.name} | {supplier(each.source)} |\n"
        for one in POLICIES
        for each in one.inputs
    ]
    return "".join(parts)


def policy_cells(policy: Policy) -> tuple[str, ...]:
    """The cells of a policy's row."""
    row = f"`{policy.row}`" if policy.row else "none"
    engine = f"[`{policy.engine.removeprefix('gpuwise.')}`](../{engine_file(policy.engine)})"
    figures = [f"{one.about}: {one.value:,.3g}" for one in policy.figures]
    return f"`{policy.name}`", policy.status.value, policy.decides, engine, row, "<br>".join([*figures, policy.limits])


def engine_file(path: str) -> str:
    """The file or package of an engine, relative to the repository."""
    name = f"src/{path.replace('.', '/')}"
    module = name.rpartition("/")[0]
    found = (name, f"{name}.py", f"{module}.py", module)
    return next(one for one in found if (HERE.parent / one).exists())


def supplier(source: Signal | str | None) -> str:
    """What supplies an input: of a signal, the first metric that has it."""
    if not isinstance(source, Signal):
        return source or "nothing yet"
    first = next(row.name.split()[0] for row in TABLE if row.measures in {source.value, MEASURES.get(source)})
    return f"`{first}` and others ([sources](sources.md))"


SAFETY = """\
# Safety: the invariants and their tests

This software changes production clusters. Each invariant below has tests that anyone can run by name
(`.venv/bin/python -m pytest -k NAME`). An invariant without a test is marked "not yet": nothing verifies it.

| | Invariant | Tests |
|---|---|---|
"""

GIVEN = """
## Cases modelled on public reports

Small inputs that the product once got wrong, outside of the repository (`GPUWISE_CASES` names their folder). Each is
played with its right result.

| Case | Tests |
|---|---|
"""

INCIDENTS = """
## Incidents in other projects, as regression tests

| Public report | Test |
|---|---|
"""

PROMISES = (
    "Data that are missing, NaN, stale, out of range, partial or unsupported never count as idle.",
    "A workload is stopped only if its data are covered and two independent sensors agree.",
    "More activity, or less data, never makes a plan bolder.",
    "An inventory that is old or incomplete leads to no change.",
    "No time window has more disruptions than the budget, across restarts and processes.",
    "The writes of at most one leader take effect.",
    "A leader stops writing before its lease expires.",
    "After a crash between intent and effect, the next start settles the command: its effect is not lost or repeated.",
    "Every effect names the object's uid and version; a recreated object of the same name is not changed.",
    "Protections that are added between plan and effect are respected.",
    "A protection or policy with an invalid value protects.",
    "Undo restores the exact fields, or refuses and shows the difference.",
    "An effect whose verification fails or is not possible is reverted in bounded time.",
    "No target oscillates between two states.",
    "Consecutive failed attempts open the target's breaker.",
    "A run that would change too much of the fleet at once changes nothing.",
    "A workload that was scaled to zero can be started without gpuwise.",
    "The control plane and gpuwise itself are never targets.",
    "A dry run sends no mutating request and shows the same plan.",
    "An upgrade alone changes nothing.",
    "A MIG geometry changes only on a GPU that is verified to be empty.",
    "Only work that tolerates interruption moves to spot.",
    "Objects that another controller owns are never written to.",
    "When faults stop, the state converges.",
    "The ledger is append-only and hash-chained; tampering is detected.",
    "A pause applies from the next decision on.",
    "A device that should report and does not counts as used.",
    "A series that may belong to another cluster is never counted here.",
    "The values of one frozen exporter count as one silent sensor.",
    "A node counts as empty only if sensors agree.",
    "An unknown outcome stays open until the object has been read.",
    "No object, label or quantity of the cluster can stop a run.",
)


REPORT = re.compile(r"([a-z]\w*?)_(\d+)_")


def reported(test: str) -> list[str]:
    """The public reports that a test's name has: test_i17_incident_keda_7239_..., ..._incident_a_1_and_b_2_..."""
    begin = re.match(r"test_(?:i\d+_)?incident_", test)
    found, at = [], begin.end() if begin else len(test)
    while (one := REPORT.match(test, at)) is not None:
        found.append(f"{one[1].replace('_', '-')}#{one[2]}")
        at = one.end() + len("and_") if test.startswith("and_", one.end()) else len(test)
    return found


def safety() -> str:
    """docs/safety.md."""
    text = "".join(path.read_text() for path in sorted((HERE.parent / "tests").rglob("test_*.py")))
    names = sorted(set(re.findall(r"def (test_\w+)", text)))
    lines = []
    for number, promise in enumerate(PROMISES, start=1):
        tests = [f"`{name}`" for name in names if name.startswith(f"test_i{number}_")]
        lines.append(f"| I{number} | {promise} | {', '.join(tests) or 'not yet'} |")
    reports = sorted(f"| {report} | `{name}` |" for name in names for report in reported(name))
    given = runpy.run_path(str(HERE.parent / "tests" / "given_cases.py"))
    tested = given["files_by_case"](HERE.parent / "tests")
    cases = []
    for kind, names in given["NAMES"].items():
        for name in names:
            files = ", ".join(f"`{file}`" for file in tested[name])
            cases.append(f"| {kind}/{name} | {files or 'not yet: ' + given['WAITING'].get(name, 'no test')} |")
    parts = SAFETY, "\n".join(lines), "\n", INCIDENTS, "\n".join(reports), "\n", GIVEN, "\n".join(cases), "\n"
    return "".join(parts)


GRAPH_BEGIN, GRAPH_END = "```mermaid\n", "```\n"
# Every package imports `model`; `store` only forwards the module names of release 0.1.
LEFT_OUT = frozenset({"model", "store"})


def packages_imported() -> dict[str, list[str]]:
    """For each package that imports others, the names of these, without those in LEFT_OUT."""
    graph = grimp.build_graph("gpuwise", cache_dir=None)
    pairs: set[tuple[str, str]] = set()
    for module in graph.modules:
        for other in graph.find_modules_directly_imported_by(module):
            pairs.add((f"{module}.".split(".")[1], f"{other}.".split(".")[1]))
    kept = sorted((a, b) for a, b in pairs if a and b and a != b and not {a, b} & LEFT_OUT)
    return {a: [b for one, b in kept if one == a] for a in dict(kept)}


def architecture() -> str:
    """ARCHITECTURE.md, with the import graph generated from the code."""
    text = (HERE.parent / "ARCHITECTURE.md").read_text()
    before, _, rest = text.partition(GRAPH_BEGIN)
    _, _, after = rest.partition(GRAPH_END)
    edges = [f"  {name} --> {' & '.join(others)}\n" for name, others in packages_imported().items()]
    return before + GRAPH_BEGIN + "flowchart LR\n" + "".join(edges) + GRAPH_END + after


SERVERS = (
    ("Prometheus 2.42, 3.5", "streamed remote read; range queries if it is refused or over its limit", "real"),
    (
        "VictoriaMetrics",
        "no remote read; rounds ranges and caches answers: steps are its multiples, `nocache=1` is sent",
        "real",
    ),
    (
        "Thanos Query, query frontend",
        "no remote read; partial data with a warning is an error; the frontend rounds ranges",
        "front",
    ),
    (
        "Mimir, Cortex",
        "limits by length, series, chunks and bytes; Cortex' chunk store selects no name by a pattern",
        "front",
    ),
    ("Amazon Managed Service for Prometheus", "no remote read; limits as Cortex'", "front"),
    ("Google Managed Service for Prometheus", "exact metric names only, no lists of labels", "front"),
    ("Azure Monitor", "one exact metric name in each query, no lists of labels", "front"),
)
"""Servers: name, what differs, and what plays them in the tests."""

SOURCES = """\
# What gpuwise reads from Prometheus

Metrics and labels by what they measure, in order of preference: for each signal the first metric that a device has
counts, and a later one only fills its gaps. The table is `src/gpuwise/sources/prometheus/exporters.csv`; the code reads
the same file.

Where a unit has an "or", the name is not sufficient. HELP text, the values of all devices, or those of the series
decide. Values that could be either are missing: they count as neither idle nor busy.

## Servers

`gpuwise doctor` shows which server answers and what it has. *Real* servers run in the tests; the others are played by a
front of a real Prometheus that answers as the server's documentation and bug reports show.

{servers}

## Beside the GPU exporters

- How runs ended, for the [cost per successful run](cost.md): `kube_job_complete` and `kube_job_failed` of
  kube-state-metrics (its job-metrics.md).
- Dollars of external models: `litellm_spend_metric_total` of LiteLLM (its page on Prometheus).
- Tokens of external models: `gen_ai_client_token_usage_token_sum` or `gen_ai_client_token_usage_sum` of Envoy AI
  Gateway (OpenTelemetry's conventions for generative AI).

Workloads may declare a counter of their work; its name is an annotation: [declared work](declared-work.md). A server of
models names its own counter of requests: "requests answered" below.

Label names that OpenTelemetry writes with dots (`k8s.pod.name`) are read from Prometheus 3. Native histograms are no
values of these metrics: what they stand for is missing.
"""


def sources() -> str:
    """docs/sources.md."""
    servers = [
        "| Server | What differs | Tested with |",
        "|---|---|---|",
        *(f"| {' | '.join(one)} |" for one in SERVERS),
    ]
    lines = [SOURCES.format(servers="\n".join(servers))]
    for measures in dict.fromkeys(row.measures for row in TABLE):
        lines += [f"## {measures}", "", "| Name | Unit | Exporter | Versions | Source |", "|---|---|---|---|---|"]
        for row in TABLE:
            if row.measures == measures:
                name = ", ".join(f"`{part}`" for part in row.name.split())
                lines.append(f"| {name} | {row.unit} | {row.exporter} | {row.versions} | {row.source} |")
        lines.append("")
    return "\n".join(lines)


def policy_checks() -> str:
    """The table of policies in docs/policy.md, in their order."""
    lines = ["| | Policy | Blocks if | Keys | People |", "|---|---|---|---|---|"]
    for number, one in enumerate((*CHECKS, *AFTERWARDS), start=1):
        keys = ", ".join(f"`{key}`" for key in one.settings)
        about = " ".join(one.about.split()).rstrip(".").removesuffix(" (I11)").removesuffix(" (I14)")
        lines.append(f"| {number} | {one.name} | {about} | {keys} | {'yes' if one.people else ''} |")
    return "\n".join(lines)


def policy_page() -> str:
    """docs/policy.md, with the table of policies generated from the code."""
    text = (HERE / "policy.md").read_text()
    before, _, rest = text.partition(CHECKS_BEGIN)
    _, _, after = rest.partition(CHECKS_END)
    return before + CHECKS_BEGIN + policy_checks() + "\n" + CHECKS_END + after


CHECKS_BEGIN, CHECKS_END = "<!-- policies -->\n", "<!-- end of policies -->\n"


def schema_of_policy() -> str:
    """docs/policy.schema.json."""
    return json.dumps(policy_schema(), indent=2) + "\n"


KINDS_HEAD = """# Kinds that gpuwise stops and starts

Generated by `python docs/generate.py` from `src/gpuwise/model/kinds.py`.

A stop sets the field of the kind's own API, the id of the action and the annotation `gpuwise.dev/wake`, in one patch
with the object's uid and resourceVersion as preconditions. The value of that annotation is the merge patch that starts
the object again; it leaves `gpuwise.dev/woken` with the id of the action. If a cluster serves a kind only in other
versions than these, the change is refused. Automation stops work that begins again at its start only if it has the
annotation `gpuwise.dev/checkpointed: "true"`; a person may stop it with `gpuwise apply`. What is finished, a
StatefulSet whose volumes would be deleted, and a Rollout that is paused or in progress are not stopped. A job in a
queue of Kueue is stopped by `spec.active` of its Workload
([{group}]({source}), {versions}).

After the write, `enact.watch.seconds` long, the pods are checked, and the service levels in `enact.watch.levels`:

```yaml
enact:
  watch:
    seconds: 600
    levels:
      - name: p99 latency
        query: histogram_quantile(0.99, sum by (le) (rate(request_seconds_bucket{{namespace="$namespace"}}[5m])))
        at_most: 0.5
```

gpuwise restores what was before if a level leaves its bounds (at once), if a level cannot be measured or the pods are
not as the change requires (at the end). The reasons are `CheckFailed` and `NoEvidence`.

To compare the table with the definitions that the projects publish, put their CustomResourceDefinitions into a folder:
`GPUWISE_CRDS=FOLDER .venv/bin/python -m pytest tests/model/test_kinds.py`.

| Kind | API | Stop | Begins again | Field documented in |
|---|---|---|---|---|
"""


def kinds() -> str:
    """docs/kinds.md."""
    head = KINDS_HEAD.format(group=QUEUED.group, source=QUEUED.source, versions=", ".join(QUEUED.versions))
    lines = []
    for kind in KINDS.values():
        stop = ", ".join(f"`{'.'.join(parts_of(at))}: {value}`" for at, value in kind.stop.items())
        cells = (kind.name, f"{kind.group} {', '.join(kind.versions)}", stop or f"not stopped: {kind.refused}")
        lines.append(f"| {' | '.join(cells)} | {'yes' if kind.restarts else 'no'} | [source]({kind.source}) |")
    wake = "\n".join(f"| {kind.name} | `{wake_line(kind)}` |" for kind in KINDS.values() if kind.stop)
    return head + "\n".join(lines) + WAKE_HEAD + wake + "\n"


WAKE_HEAD = """

## Start an object again

`gpuwise wake NAMESPACE/KIND/NAME` needs the API server and nothing else: no ledger, no Prometheus, no Ray and no
leader. Without gpuwise, `kubectl` does the same with the value of the annotation:

| Kind | Command |
|---|---|
"""


def wake_line(kind: Kind) -> str:
    """The kubectl command that starts an object of a kind again."""
    resource = f"{kind.resource}.{kind.group}" if "." in kind.group else kind.resource
    get = f"kubectl -n NAMESPACE get {resource} NAME -o jsonpath='{{.metadata.annotations.gpuwise\\.dev/wake}}'"
    return f'kubectl -n NAMESPACE patch {resource} NAME --type merge -p "$({get})"'


DOCUMENTS = {
    "kinds.md": kinds,
    "../ARCHITECTURE.md": architecture,
    "configuration.md": configuration,
    "findings.md": findings,
    "policies.md": policies,
    "policy.md": policy_page,
    "policy.schema.json": schema_of_policy,
    "reasons.md": reasons,
    "safety.md": safety,
    "sources.md": sources,
}


def stale() -> list[str]:
    """Documents that differ from what the source generates."""
    paths = {name: HERE / name for name in DOCUMENTS}
    return [name for name, path in paths.items() if not path.exists() or path.read_text() != DOCUMENTS[name]()]


if __name__ == "__main__":
    if "--check" in sys.argv:
        sys.exit("\n".join(f"docs/{name} is stale: python docs/generate.py" for name in stale()) or 0)
    for name in stale():
        (HERE / name).write_text(DOCUMENTS[name]())
