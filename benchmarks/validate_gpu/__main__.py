"""Runs the exporter beside nvidia-smi, idle and under loads of known occupancy, and writes what was seen."""

import argparse
import platform
import shutil
import statistics
import subprocess
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from benchmarks.validate_gpu.exporter import INTERVAL_S, Exporter, exporting

HERE = Path(__file__).parent
NOBODY = 65534
_SETTLE_S = 4.0
_SAMPLES = 5

# Quantity, nvidia-smi's query, our metric with labels, unit of nvidia-smi in ours, tolerance in ours.
BESIDE = (
    ("power", "power.draw.instant", "gpuwise_gpu_power_watts", {}, 1.0, 15.0),
    ("temperature", "temperature.gpu", "gpuwise_gpu_temperature_celsius", {"sensor": "gpu"}, 1.0, 1.0),
    ("memory used", "memory.used", "gpuwise_gpu_memory_used_bytes", {}, 2**20, 2**20),
    ("memory total", "memory.total", "gpuwise_gpu_memory_total_bytes", {}, 2**20, 2**20),
    ("utilisation", "utilization.gpu", "gpuwise_gpu_utilization_ratio", {}, 0.01, 0.02),
    ("SM clock", "clocks.sm", "gpuwise_gpu_clock_hertz", {"clock": "sm"}, 1e6, 20e6),
    ("memory clock", "clocks.mem", "gpuwise_gpu_clock_hertz", {"clock": "memory"}, 1e6, 1e6),
    ("power limit", "power.limit", "gpuwise_gpu_power_limit_watts", {}, 1.0, 0.5),
    ("PCIe generation", "pcie.link.gen.current", "gpuwise_gpu_pcie_link_generation", {}, 1.0, 0.0),
    ("PCIe width", "pcie.link.width.current", "gpuwise_gpu_pcie_link_width", {}, 1.0, 0.0),
    ("P-state", "pstate", "gpuwise_gpu_performance_state", {}, 1.0, 0.0),
)

# Name, share of multiprocessors, threads a block, ms on, ms off.
LOADS = (
    ("all multiprocessors, 1024 threads", 1.0, 1024, 200, 0),
    ("half of them, 1024 threads", 0.5, 1024, 200, 0),
    ("a quarter of them, 512 threads", 0.25, 512, 200, 0),
    ("all of them, half of the time", 1.0, 1024, 100, 100),
)
_OF_RATIO = 0.03


@dataclass(frozen=True)
class Row:
    """One comparison.

    Attributes:
        state: what the GPU was doing.
        what: the quantity.
        theirs: the driver's tool, or what the load is by its making.
        ours: the exporter.
        right: whether they agree; None where nothing can be compared.
    """

    state: str
    what: str
    theirs: str
    ours: str
    right: bool | None


def smi(query: str) -> list[float | None]:
    """What nvidia-smi says of the first GPU; None for what it does not support."""
    command = ["nvidia-smi", "--id=0", f"--query-gpu={query}", "--format=csv,noheader,nounits"]
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    return [_number(cell.strip().lstrip("P")) for cell in done.stdout.strip().split(",")]


def _number(text: str) -> float | None:
    try:
        return float(text)
    except ValueError:
        return None


def beside(exporter: Exporter, state: str) -> Iterator[Row]:
    """Each quantity by nvidia-smi, before and after ours; ours has to lie between, give or take its tolerance."""
    queries = ",".join(query for _, query, *_ in BESIDE)
    before = smi(queries)
    time.sleep(INTERVAL_S * 1.5)  # so that a sweep lies between the two
    shown = exporter.scrape()
    after = smi(queries)
    for (what, _, name, labels, unit, tolerance), one, two in zip(BESIDE, before, after, strict=True):
        ours = next((value for have, value in shown.get(name, []) if labels.items() <= have.items()), None)
        if one is None or two is None:
            yield Row(state, what, "not supported", "absent" if ours is None else f"{ours:g}", ours is None)
            continue
        low, high = sorted((one * unit, two * unit))
        right = ours is not None and low - tolerance <= ours <= high + tolerance
        said = f"{low:.6g}" if low == high else f"{low:.6g} to {high:.6g}"
        yield Row(state, what, said, "absent" if ours is None else f"{ours:.6g}", right)


@contextmanager
def loaded(program: Path, seconds: float, blocks: int, threads: int, on_ms: int, off_ms: int) -> Iterator[int]:
    """A load that runs; yields its process id."""
    command = [str(program), *map(str, (seconds, blocks, threads, on_ms, off_ms))]
    with subprocess.Popen(command, stdout=subprocess.DEVNULL) as process:
        try:
            yield process.pid
        finally:
            process.terminate()


def shape(program: Path) -> tuple[int, int]:
    """Multiprocessors, and threads that each holds."""
    done = subprocess.run([program, "0", "1", "32", "1", "0"], capture_output=True, text=True, check=True)
    multiprocessors, threads = done.stdout.split()
    return int(multiprocessors), int(threads)


def occupancies(exporter: Exporter, program: Path) -> Iterator[Row]:
    """Hardware counters against what each load is by its making."""
    multiprocessors, held = shape(program)
    for name, part, threads, on_ms, off_ms in LOADS:
        blocks = round(multiprocessors * part)
        time_on = on_ms / (on_ms + off_ms)
        made = {
            "gpuwise_gpu_sm_activity_ratio": blocks / multiprocessors * time_on,
            "gpuwise_gpu_sm_occupancy_ratio": blocks * threads / (multiprocessors * held) * time_on,
        }
        with loaded(program, _SETTLE_S + _SAMPLES * INTERVAL_S + 10, blocks, threads, on_ms, off_ms):
            time.sleep(_SETTLE_S)
            seen: dict[str, list[float]] = {metric: [] for metric in made}
            processes = exporter.value("gpuwise_gpu_processes")
            for _ in range(_SAMPLES):
                time.sleep(INTERVAL_S)
                for metric, values in seen.items():
                    if (value := exporter.value(metric)) is not None:
                        values.append(value)
            if part == 1.0 and not off_ms:
                yield from beside(exporter, "busy")
        yield Row(name, "processes with a context", "1", f"{processes}", processes == 1.0)
        for metric, wanted in made.items():
            values = seen[metric]
            ours = statistics.median(values) if values else None
            right = None if ours is None else abs(ours - wanted) <= _OF_RATIO + 0.05 * wanted * (off_ms > 0)
            yield Row(
                name, metric.split("_", 2)[2], f"{wanted:.4f}", "absent" if ours is None else f"{ours:.4f}", right
            )


def contexts(exporter: Exporter, program: Path) -> Iterator[Row]:
    """A process that holds a context and runs nothing is no activity."""
    with loaded(program, _SETTLE_S + 8, 0, 0, 100, 0):
        time.sleep(_SETTLE_S)
        activity = exporter.value("gpuwise_gpu_sm_activity_ratio")
        processes = exporter.value("gpuwise_gpu_processes")
    yield Row("a context and no kernel", "gpu_sm_activity_ratio", "0", f"{activity}", (activity or 0.0) <= 0.001)
    yield Row("a context and no kernel", "processes with a context", "1", f"{processes}", processes == 1.0)


def rights(names: set[str]) -> Row:
    """What somebody without rights sees of what we see."""
    with exporting(user=NOBODY) as other:
        time.sleep(2 * INTERVAL_S)
        missing = sorted(names - other.scrape().keys())
    ours = ", without ".join([str(len(names) - len(missing)), *([", ".join(missing)] if missing else [])])
    return Row("as user 65534", "metrics", f"{len(names)}", ours, not missing)


def measured(program: Path | None) -> tuple[list[Row], list[str]]:
    """Everything that can be compared here, and the exporter's own cost."""
    rows: list[Row] = []
    with exporting() as exporter:
        time.sleep(3 * INTERVAL_S)
        rows += beside(exporter, "idle")
        names = set(exporter.scrape())
        if program is not None:
            rows += contexts(exporter, program)
            rows += occupancies(exporter, program)
        began, cpu_s = time.monotonic(), exporter.cpu_s()
        time.sleep(10 * INTERVAL_S)
        share = (exporter.cpu_s() - cpu_s) / (time.monotonic() - began)
        cost = [
            f"ready after {exporter.ready_s:.1f} s",
            f"{exporter.resident_mib():.0f} MiB resident",
            f"{share:.2%} of one core at an interval of {INTERVAL_S:g} s",
            f"{len(names)} metrics",
        ]
        errors = exporter.scrape().get("gpuwise_exporter_errors_total", [])
        told = ", ".join(f"{labels['code']} {value:g}" for labels, value in errors if value)
        cost.append(f"errors: {told or 'none'}")
    rows.append(rights(names))
    return rows, cost


def document(rows: list[Row], cost: list[str]) -> str:
    """docs/validation.md."""
    words = {True: "yes", False: "**no**", None: "cannot be compared"}
    query = "name,driver_version,vbios_version,mig.mode.current,compute_cap"
    command = ["nvidia-smi", "--id=0", f"--query-gpu={query}", "--format=csv,noheader"]
    said = subprocess.run(command, capture_output=True, text=True, check=True).stdout.strip().split(", ")
    facts = dict(zip(("GPU", "driver", "VBIOS", "MIG", "compute capability"), said, strict=True))
    table = [f"| {row.state} | {row.what} | {row.theirs} | {row.ours} | {words[row.right]} |" for row in rows]
    return "\n".join(
        [
            "# Validation on a real GPU",
            "",
            "Written by `make validate-gpu`. Each value of the exporter stands beside `nvidia-smi` read just before",
            "and just after it, idle and busy. Hardware counters stand beside loads whose share of multiprocessors and",
            "whose occupancy are known by their making (`benchmarks/validate_gpu/load.cu`). Units are the exporter's.",
            "",
            *(f"- {name}: {value}" for name, value in facts.items()),
            f"- kernel: {platform.release()}",
            f"- date: {time.strftime('%Y-%m-%d', time.gmtime())}",
            f"- the exporter: {'; '.join(cost)}",
            f"- agree: {sum(row.right is True for row in rows)} of {len(rows)}",
            "",
            "| state | quantity | nvidia-smi, or by making | exporter | agree |",
            "|---|---|---|---|---|",
            *table,
            "",
            "Not shown here: MIG (it needs a reset), XID events, NVLink traffic, throttling, and attribution to pods",
            "(there was no kubelet).",
            "",
        ]
    )


def main() -> None:
    """Validate, or say that there is nothing to validate on."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--output", type=Path, default=HERE.parents[1] / "docs" / "validation.md")
    output = parser.parse_args().output
    if shutil.which("nvidia-smi") is None:
        raise SystemExit("no GPU can be validated: nvidia-smi is not on PATH; nothing was written")
    with tempfile.TemporaryDirectory() as folder:
        program: Path | None = Path(folder) / "load"
        if shutil.which("nvcc") is None:
            print("nvcc is not on PATH: the loads of known occupancy are left out")
            program = None
        else:
            subprocess.run(["nvcc", "-O2", "-arch=native", "-o", program, HERE / "load.cu"], check=True)
        rows, cost = measured(program)
    text = document(rows, cost)
    output.write_text(text)
    print(text)
    wrong = [row for row in rows if row.right is False]
    raise SystemExit(f"{len(wrong)} values do not agree; see {output}" if wrong else 0)


if __name__ == "__main__":
    main()
