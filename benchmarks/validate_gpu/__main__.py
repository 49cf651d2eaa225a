"""Compares the exporter with nvidia-smi, idle and under loads of known occupancy, and writes docs/validation.md."""

import argparse
import os
import platform
import re
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from benchmarks.validate_gpu.exporter import INTERVAL_S, Exporter, exporting
from benchmarks.validate_gpu.references import SMI, Fake, Reference, properties

from gpuwise.model.gpu import gpu_type
from gpuwise.model.signal import Signal
from gpuwise.score.idle import threshold
from gpuwise.score.settings import ScoreSettings

HERE = Path(__file__).parent
NOBODY = 65534
_SETTLE_S = 4.0
_SAMPLES = 5
# A server that waits for requests: what it holds, and how long it waits until its power is read.
_WEIGHTS = 0.6
_WAIT_S = 20.0

# Name, share of multiprocessors, threads per block, ms on, ms off.
LOADS = (
    ("all multiprocessors, 1024 threads", 1.0, 1024, 200, 0),
    ("half of them, 1024 threads", 0.5, 1024, 200, 0),
    ("a quarter of them, 512 threads", 0.25, 512, 200, 0),
    ("all of them, half of the time", 1.0, 1024, 100, 100),
)
_RATIO_TOLERANCE = 0.03


@dataclass(frozen=True)
class Row:
    """One comparison.

    Attributes:
        state: what the GPU was doing.
        quantity: what was compared.
        expected: value of nvidia-smi, or the value that follows from the load.
        exported: value of the exporter.
        agrees: whether the two agree; None if they cannot be compared.
    """

    state: str
    quantity: str
    expected: str
    exported: str
    agrees: bool | None


def compared(exporter: Exporter, reference: Reference, state: str) -> Iterator[Row]:
    """Compare each quantity with the reference, read before and after the scrape.

    The exporter's value must lie between the two, within the tolerance.
    """
    before = reference.values()
    time.sleep(INTERVAL_S * 1.5)  # so that the exporter samples at least once between the two reads
    series = exporter.scrape()
    after = reference.values()
    for quantity in reference.quantities:
        ours = next(
            (value for found, value in series.get(quantity.metric, []) if quantity.labels.items() <= found.items()),
            None,
        )
        first, second = before[quantity.name], after[quantity.name]
        if first is None or second is None:
            yield Row(state, quantity.name, "not supported", "absent" if ours is None else f"{ours:g}", ours is None)
            continue
        low, high = sorted((first, second))
        agrees = ours is not None and low - quantity.tolerance <= ours <= high + quantity.tolerance
        expected = f"{low:.6g}" if low == high else f"{low:.6g} to {high:.6g}"
        yield Row(state, quantity.name, expected, "absent" if ours is None else f"{ours:.6g}", agrees)


@contextmanager
def loaded(
    program: Path, seconds: float, blocks: int, threads: int, on_ms: int, off_ms: int, mib: int = 0
) -> Iterator[int]:
    """Run the load program; yields its process ID."""
    command = [str(program), *map(str, (seconds, blocks, threads, on_ms, off_ms, mib))]
    with subprocess.Popen(command, stdout=subprocess.DEVNULL) as process:
        try:
            yield process.pid
        finally:
            process.terminate()


def shape(program: Path) -> tuple[int, int]:
    """Number of multiprocessors, and the maximum number of resident threads on each."""
    finished = subprocess.run([program, "0", "1", "32", "1", "0"], capture_output=True, text=True, check=True)
    multiprocessors, threads = finished.stdout.split()
    return int(multiprocessors), int(threads)


def occupancies(exporter: Exporter, program: Path) -> Iterator[Row]:
    """Compare the hardware counters with the values that follow from each load."""
    multiprocessors, max_threads = shape(program)
    for name, part, threads, on_ms, off_ms in LOADS:
        blocks = round(multiprocessors * part)
        time_on = on_ms / (on_ms + off_ms)
        expected = {
            "gpuwise_gpu_sm_activity_ratio": blocks / multiprocessors * time_on,
            "gpuwise_gpu_sm_occupancy_ratio": blocks * threads / (multiprocessors * max_threads) * time_on,
        }
        with loaded(program, _SETTLE_S + _SAMPLES * INTERVAL_S + 10, blocks, threads, on_ms, off_ms):
            time.sleep(_SETTLE_S)
            sampled: dict[str, list[float]] = {metric: [] for metric in expected}
            processes = exporter.value("gpuwise_gpu_processes")
            for _ in range(_SAMPLES):
                time.sleep(INTERVAL_S)
                for metric, values in sampled.items():
                    if (value := exporter.value(metric)) is not None:
                        values.append(value)
            if part == 1.0 and not off_ms:
                for reference in SMI:
                    yield from compared(exporter, reference, "busy")
        yield Row(name, "processes with a context", "1", f"{processes}", processes == 1.0)
        for metric, ratio in expected.items():
            values = sampled[metric]
            ours = statistics.median(values) if values else None
            agrees = None if ours is None else abs(ours - ratio) <= _RATIO_TOLERANCE + 0.05 * ratio * (off_ms > 0)
            yield Row(
                name, metric.split("_", 2)[2], f"{ratio:.4f}", "absent" if ours is None else f"{ours:.4f}", agrees
            )


def contexts(exporter: Exporter, program: Path) -> Iterator[Row]:
    """Check that a process with a context and no kernel is not exported as activity."""
    with loaded(program, _SETTLE_S + 8, 0, 0, 100, 0):
        time.sleep(_SETTLE_S)
        activity = exporter.value("gpuwise_gpu_sm_activity_ratio")
        processes = exporter.value("gpuwise_gpu_processes")
    yield Row("a context and no kernel", "gpu_sm_activity_ratio", "0", f"{activity}", (activity or 0.0) <= 0.001)
    yield Row("a context and no kernel", "processes with a context", "1", f"{processes}", processes == 1.0)


def waiting(exporter: Exporter, program: Path) -> Iterator[Row]:
    """Check that a server that waits for requests, with its weights in memory, is below the thresholds of idleness.

    The power of a GPU with a context is above that of a GPU without: its clocks do not fall.
    """
    total = exporter.value("gpuwise_gpu_memory_total_bytes") or 0.0
    mib = int(_WEIGHTS * total) >> 20
    state, settings = "60 % of its memory in use, no kernel", ScoreSettings()
    gpu = gpu_type(properties()["GPU"])
    with loaded(program, _SETTLE_S + _WAIT_S + 10, 0, 0, 100, 0, mib):
        time.sleep(_SETTLE_S + _WAIT_S)
        for name, metric, signal in (
            ("power", "gpuwise_gpu_power_watts", Signal.POWER),
            ("utilisation", "gpuwise_gpu_utilization_ratio", Signal.GPU_UTIL),
            ("gpu_sm_activity_ratio", "gpuwise_gpu_sm_activity_ratio", Signal.SM_ACTIVITY),
            ("gpu_dram_activity_ratio", "gpuwise_gpu_dram_activity_ratio", Signal.DRAM_ACTIVITY),
        ):
            below, ours = threshold(signal, gpu and gpu.name, settings), exporter.value(metric)
            agrees = None if ours is None or below is None else ours < below
            expected = "no threshold for this GPU" if below is None else f"idle: below {below:g}"
            yield Row(state, name, expected, "absent" if ours is None else f"{ours:.6g}", agrees)
        used = exporter.value("gpuwise_gpu_memory_used_bytes")
        shown, agrees = ("absent", None) if used is None else (f"{used:.6g}", used >= mib << 20)
        yield Row(state, "memory used", f"at least {mib << 20:.6g}", shown, agrees)


def unprivileged(names: set[str], extra: tuple[str, ...]) -> Row:
    """Check that the exporter exports the same metrics as an unprivileged user."""
    try:
        with exporting(user=NOBODY, extra=extra) as exporter:
            time.sleep(2 * INTERVAL_S)
            missing = sorted(names - exporter.scrape().keys())
    except PermissionError:
        return Row("as user 65534", "metrics", f"{len(names)}", f"that user may not run {sys.executable}", None)
    ours = ", without ".join([str(len(names) - len(missing)), *([", ".join(missing)] if missing else [])])
    return Row("as user 65534", "metrics", f"{len(names)}", ours, not missing)


def measured(program: Path | None, *, fake: Fake | None = None) -> tuple[list[Row], list[str]]:
    """All comparisons that are possible on this machine, and the resources that the exporter uses."""
    rows: list[Row] = []
    extra = fake.options if fake else ()
    with exporting(extra=extra) as exporter:
        time.sleep(3 * INTERVAL_S)
        for reference in (fake,) if fake else SMI:
            rows += compared(exporter, reference, "fake" if fake else "idle")
        names = set(exporter.scrape())
        if program is not None:
            rows += contexts(exporter, program)
            rows += waiting(exporter, program)
            rows += occupancies(exporter, program)
        start, cpu_s = time.monotonic(), exporter.cpu_s()
        time.sleep(10 * INTERVAL_S)
        share = (exporter.cpu_s() - cpu_s) / (time.monotonic() - start)
        cost = [
            f"ready after {exporter.ready_s:.1f} s",
            f"{exporter.resident_mib():.0f} MiB resident",
            f"{share:.2%} of one core at an interval of {INTERVAL_S:g} s",
            f"{len(names)} metrics",
        ]
        errors = exporter.scrape().get("gpuwise_exporter_errors_total", [])
        counts = ", ".join(f"{labels['code']} {value:g}" for labels, value in errors if value)
        cost.append(f"errors: {counts or 'none'}")
    if os.geteuid() == 0:
        rows.append(unprivileged(names, extra))
    return rows, cost


_REAL = """\
# Validation on real GPUs

Generated by `make validate-gpu`, which replaces the section of the GPU that it runs on. Each value of the exporter is
compared with `nvidia-smi --query-gpu` and `nvidia-smi dmon`, read just before and just after the scrape, on an idle and
on a busy GPU. The hardware counters are compared with the values that follow from loads of known SM share and occupancy
(`benchmarks/validate_gpu/load.cu`). A server that waits for requests is compared with the thresholds of idleness
(`src/gpuwise/score/idle.py`). All values are in the exporter's units.

Not validated here: MIG (enabling it needs a GPU reset), XID events, NVLink traffic, throttling, and attribution to pods
(the machines had no kubelet).
"""
_FAKE = """\
# Validation on the fake NVML

Generated by `make validate-gpu`. **No real GPU could be reached.** The exporter read the tests' fake NVML library, and
each value is compared with what the scenario of the fake says. This shows units and names, and nothing about a driver.
"""


def section(rows: list[Row], cost: list[str], found: dict[str, str]) -> str:
    """What was compared, under the name of the GPU.

    Args:
        rows: the comparisons.
        cost: the resources that the exporter used.
        found: what identifies the GPU and its driver.
    """
    verdicts = {True: "yes", False: "**no**", None: "cannot be compared"}
    table = [
        f"| {row.state} | {row.quantity} | {row.expected} | {row.exported} | {verdicts[row.agrees]} |" for row in rows
    ]
    facts = [
        *(f"- {name}: {value}" for name, value in found.items() if name != "GPU"),
        f"- kernel: {platform.release()}",
        f"- date: {time.strftime('%Y-%m-%d', time.gmtime())}",
        f"- exporter: {'; '.join(cost)}",
        f"- values that agree: {sum(row.agrees is True for row in rows)} of {len(rows)}",
    ]
    heading = ["| state | quantity | expected | exporter | agree |", "|---|---|---|---|---|"]
    return "\n".join([f"## {found['GPU']}", "", *facts, "", *heading, *table, ""])


def merged(document: str, new: str) -> str:
    """The document with a section in place of the one with the same heading, or after the others.

    Args:
        document: the document of before; empty if there is none.
        new: the section.
    """
    sections = {
        text.splitlines()[0]: text.strip() + "\n" for text in re.split(r"^(?=## )", document, flags=re.MULTILINE)[1:]
    }
    return "\n".join([_REAL, *(sections | {new.splitlines()[0]: new}).values()])


def main() -> None:
    """Validate the exporter on this machine's GPU; on the fake NVML if there is none."""
    root = HERE.parents[1]
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument(
        "--output", type=Path, help="the document; default: docs/validation.md, build/validation.md for the fake"
    )
    given, real = parser.parse_args().output, shutil.which("nvidia-smi") is not None
    output = given or root / ("docs" if real else "build") / "validation.md"
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        if real:
            rows, cost = measured(built(folder))
            before = output.read_text() if output.exists() else ""
            text = merged(before, section(rows, cost, properties()))
        else:
            print("no nvidia-smi on PATH: reading the fake NVML; docs/validation.md stays as it is")
            rows, cost = measured(None, fake=Fake.built(folder))
            text = f"{_FAKE}\n{section(rows, cost, {'GPU': 'The fake'})}"
    output.parent.mkdir(exist_ok=True)
    output.write_text(text)
    print(text)
    different = [row for row in rows if row.agrees is False]
    raise SystemExit(f"{len(different)} values do not agree; see {output}" if different else 0)


def built(folder: Path) -> Path | None:
    """The load program; None if there is no compiler for it."""
    if shutil.which("nvcc") is None:
        print("nvcc is not on PATH: skipping the loads of known occupancy")
        return None
    program = folder / "load"
    subprocess.run(["nvcc", "-O2", "-arch=native", "-o", program, HERE / "load.cu"], check=True)
    return program


if __name__ == "__main__":
    main()
