"""Reading usage from Prometheus: the chunk kernel alone, and both APIs end to end against prometheus-api-client.

A real Prometheus serves 10,000 series of 7 days at 30 s, 201.6 million samples, from a block written here. Series share
chunks on disk, so that all data are in the page cache and neither reader waits for the disk. The peer reads some of the
series by `custom_query_range` at the scrape interval, one day at a time (JSON, gzip); the figure is samples per second.
Its samples remain strings, while gpuwise's reader puts them on the grid of 300 s that scoring uses. The figures:

chunk_decode_over_memcpy
                    time of the kernel on one core over copying the chunks, all kinds of series, shortest of rounds
ingest_msps         million samples per second, remote read end to end, with the server on the same cores
ingest_speedup      ratio of this to the peer's
ingest_peak_mib     peak resident memory of the reading process
range_msps          million samples per second, by range queries: the server reduces them to steps of 300 s
range_speedup       ratio of this to the peer's
"""

import argparse
import json
import subprocess
import sys
import tempfile
import time
import urllib.parse
import urllib.request
from pathlib import Path

sys.path[:0] = [str(Path(__file__).parent), str(Path(__file__).parents[1])]  # tsdb_block, and the tests' Prometheus

from benchmarks.measure import at_least, best_in_turn  # noqa: E402

GOALS = {"ingest_speedup": at_least(90.0), "range_speedup": at_least(3.0)}

SERIES = 10_000
PEER_SERIES = 100
NAMES = (
    "DCGM_FI_DEV_GPU_UTIL",
    "DCGM_FI_PROF_SM_ACTIVE",
    "DCGM_FI_DEV_FB_USED",
    "DCGM_FI_DEV_POWER_USAGE",
    "DCGM_FI_DEV_XID_ERRORS",
)
DAYS, SCRAPE_S, STEP_S = 7, 30, 300
START_S = 1_780_000_000 // 86_400 * 86_400
END_S = START_S + DAYS * 86_400
SAMPLES = DAYS * 86_400 // SCRAPE_S
PATTERNS_PER_NAME = 10
ROUNDS = 7


def figures(series: int = SERIES) -> dict[str, float]:
    """All figures, for a number of series."""
    from tests.prometheus_server import running

    from tsdb_block import write_block

    patterns = _patterns()
    found = {"chunk_decode_over_memcpy": decode_over_memcpy(patterns)}
    labelled = [_labels(number) for number in range(series)]
    with tempfile.TemporaryDirectory() as folder:
        write_block(Path(folder) / "data", patterns, labelled)
        with running(Path(folder)) as url:
            _check(url, series)
            peer = _peer_msps(url, min(PEER_SERIES, series))
            ours, by_ranges = _in_process(url, "remote-read"), _in_process(url, "query-range")
    assert ours["series"] == by_ranges["series"] == series, (ours, by_ranges)
    msps, ranges_msps = (series * SAMPLES / one["seconds"] / 1e6 for one in (ours, by_ranges))
    found |= {"ingest_msps": msps, "ingest_speedup": msps / peer, "ingest_peak_mib": ours["peak_mib"]}
    return found | {"range_msps": ranges_msps, "range_speedup": ranges_msps / peer}


def _in_process(url: str, api: str) -> dict[str, float]:
    command = [sys.executable, __file__, "--read", url, "--api", api]
    found: dict[str, float] = json.loads(subprocess.run(command, capture_output=True, check=True).stdout)
    return found


def decode_over_memcpy(patterns) -> float:
    """The kernel alone, one call per series as in the reader, against copying the bytes of the same chunks."""
    from array import array
    from itertools import accumulate

    import numpy as np
    from gpuwise.sources.prometheus._chunks_c import reduce_chunks

    calls = []
    for pattern in patterns:
        data = [chunk for _, _, chunk in pattern.chunks]
        calls.append((b"".join(data) + bytes(32), array("q", accumulate(map(len, data)))))
    values = np.full((END_S - START_S) // STEP_S, np.nan)
    chunks = [np.frombuffer(data, dtype=np.uint8) for data, _ in calls]
    copy = np.empty(max(map(len, chunks)), dtype=np.uint8)

    def decode() -> None:
        samples = sum(reduce_chunks(*call, values, START_S * 1000, STEP_S * 1000, False) for call in calls)
        assert samples == len(patterns) * SAMPLES

    def memcpy() -> None:
        for one in chunks:
            copy[: len(one)] = one

    best = best_in_turn({"decode": decode, "memcpy": memcpy}, ROUNDS)
    return best["decode"] / best["memcpy"]


def _patterns():
    """Ten series of each metric as GPUs report them: idle for hours, busy in whole percents, noisy watts, no errors."""
    import numpy as np

    from tsdb_block import Pattern

    random = np.random.default_rng(0)
    times = [START_S * 1000 + i * SCRAPE_S * 1000 for i in range(SAMPLES)]

    def busy():
        hours = random.random(SAMPLES * SCRAPE_S // 3600) < 0.4
        return np.repeat(hours, 3600 // SCRAPE_S)

    def percent():
        return np.where(busy(), random.normal(70, 15, SAMPLES).clip(0, 100).round(), 0.0)

    kinds = (
        percent,
        lambda: percent() / 100,
        lambda: np.where(busy(), random.integers(20_000, 80_000), 4.0),
        lambda: np.where(busy(), random.normal(450, 40, SAMPLES), random.normal(70, 1, SAMPLES)).round(3),
        lambda: np.zeros(SAMPLES),
    )
    return [Pattern.of(times, kind().tolist()) for kind in kinds for _ in range(PATTERNS_PER_NAME)]


def _labels(number: int) -> tuple[dict[str, str], int]:
    kind, card = number % len(NAMES), number // len(NAMES)
    labels = {
        "__name__": NAMES[kind],
        "namespace": f"team-{card % 40}",
        "pod": f"trainer-{card}",
        "UUID": f"GPU-{card:08x}-5a1b-4c3d",
        "gpu": str(card % 8),
        "Hostname": f"node-{card // 8}",
        "modelName": "NVIDIA H100 80GB HBM3",
    }
    return labels, kind * PATTERNS_PER_NAME + card % PATTERNS_PER_NAME


def _check(url: str, series: int) -> None:
    """The server must count the expected number of samples, and gpuwise's reader the same number."""
    import numpy as np

    query = f"sum(count_over_time({NAMES[0]}[{DAYS}d]))"
    where = f"{url}/api/v1/query?{urllib.parse.urlencode({'query': query, 'time': END_S - 0.001})}"
    with urllib.request.urlopen(where) as answer:
        counted = int(json.load(answer)["data"]["result"][0]["value"][1])
    expected = len(range(0, series, len(NAMES))) * SAMPLES
    read = sum(int(np.isfinite(one.values).sum()) for one in _read(url, NAMES[:1], SCRAPE_S, "remote-read"))
    assert counted == read == expected, (counted, read, expected)


def _read(url: str, names: tuple[str, ...], step_s: int, api: str):
    from gpuwise.model.usage import Window
    from gpuwise.sources.prometheus.client import PrometheusClient, PrometheusSettings
    from gpuwise.sources.prometheus.reader import PrometheusSeries
    from gpuwise.sources.prometheus.series import Match, Matcher, Selection

    with PrometheusClient(PrometheusSettings(url, read=api)) as client:
        selection = Selection(names, (Matcher("pod", Match.NOT_EQUAL, ""),))
        yield from PrometheusSeries(client).series([selection], Window(START_S, END_S, step_s))


def _read_all(url: str, api: str) -> dict[str, float]:
    """Read all series; runs in a separate process, for its peak memory."""
    next(_read(url, NAMES[:1], STEP_S, api))  # imports, and the server's first touch
    begun = time.perf_counter()
    # Range queries yield a series once for each part of the window.
    series = len({frozenset(one.labels.items()) for one in _read(url, NAMES, STEP_S, api)})
    seconds = time.perf_counter() - begun
    # Not getrusage's ru_maxrss: a child inherits it from the parent, which holds the peer's JSON.
    status = dict(line.split(":", 1) for line in Path("/proc/self/status").read_text().splitlines())
    return {"series": series, "seconds": seconds, "peak_mib": int(status["VmHWM"].split()[0]) / 1024}


def _peer_msps(url: str, series: int) -> float:
    """prometheus-api-client's query_range over the first series of the first metric."""
    from datetime import UTC, datetime

    from prometheus_api_client import PrometheusConnect

    wanted = "|".join(f"trainer-{card}" for card in range(series))
    server = PrometheusConnect(url=url)
    begun = time.perf_counter()
    found = [
        one
        for day_s in range(START_S, END_S, 86_400)  # a server answers with 11,000 points a series at most
        for one in server.custom_query_range(
            f'{NAMES[0]}{{pod=~"{wanted}"}}',
            start_time=datetime.fromtimestamp(day_s, UTC),
            end_time=datetime.fromtimestamp(day_s + 86_400 - SCRAPE_S, UTC),
            step=str(SCRAPE_S),
        )
    ]
    seconds = time.perf_counter() - begun
    samples = sum(len(one["values"]) for one in found)
    assert samples == len(found) // DAYS * SAMPLES, samples
    return samples / seconds / 1e6


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--series", type=int, default=SERIES)
    parser.add_argument("--read", metavar="URL", help="only read, and say how it went; what the benchmark runs itself")
    parser.add_argument("--api", default="remote-read", help="with --read: remote-read or query-range")
    options = parser.parse_args()
    if options.read:
        print(json.dumps(_read_all(options.read, options.api)))
        return
    for name, value in figures(options.series).items():
        print(f"{name} {value:.2f}")


if __name__ == "__main__":
    main()
