"""Remote read: the same grid as range queries from a real Prometheus; from a broken one a SourceError, never less."""

import math
import struct
import urllib.request
from collections.abc import Iterable
from pathlib import Path

import httpx
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.http_server import answering
from tests.prometheus_server import NEEDS_PROMETHEUS, StartPrometheus, backfill, openmetrics
from tests.xor_chunks import encode, uvarint

from gpuwise.model.errors import SourceError
from gpuwise.model.usage import Window
from gpuwise.sources.prometheus.client import PrometheusClient, PrometheusSettings
from gpuwise.sources.prometheus.messages import Malformed, _snappy, frames
from gpuwise.sources.prometheus.ranges import RangeQueries
from gpuwise.sources.prometheus.remote_read import RemoteRead
from gpuwise.sources.prometheus.series import GridSeries, Match, Matcher, Reduce, Selection

from .remote_read import STREAMED, Pieces, frame, framed, message, streamed

START_S = 1_780_000_000 // 3600 * 3600
HOUR = Window(START_S, START_S + 3600, 300)
LABELS = {"__name__": "util", "gpu": "0"}
STALE = np.uint64(0x7FF0000000000002).view(np.float64).item()
UTIL = Selection(("util",), (Matcher("gpu", Match.EQUAL, "0"),))


def at_ms(step: int, offset_s: int = 0, window: Window = HOUR) -> int:
    return 1000 * (window.start_s + step * window.step_s + offset_s)


COMPLETE = frame(LABELS, encode([(at_ms(0), 0.0), (at_ms(1), 0.5)]))


def read(*pieces: bytes, selection: Selection = UTIL, window: Window = HOUR) -> list[GridSeries]:
    transport = httpx.MockTransport(lambda _: streamed(*pieces))
    with PrometheusClient(PrometheusSettings("http://prometheus"), transport=transport) as client:
        return list(RemoteRead(client).series([selection], window))


def merged(series: Iterable[GridSeries], reduce: Reduce) -> dict[frozenset[tuple[str, str]], np.ndarray]:
    """Parts of a series joined; those without a sample left out."""
    extreme = np.fmax if reduce is Reduce.MAX else np.fmin
    found: dict[frozenset[tuple[str, str]], np.ndarray] = {}
    for one in series:
        key = frozenset(one.labels.items())
        found[key] = extreme(found.get(key, np.nan), one.values)
    return {key: values for key, values in found.items() if not np.isnan(values).all()}


def write(url: str, labels: dict[str, str], samples: list[tuple[int, float]]) -> None:
    """Push samples into the head by remote write, the only way to write a staleness marker."""

    def field(number: int, payload: bytes) -> bytes:
        return uvarint(number << 3 | 2) + uvarint(len(payload)) + payload

    pairs = b"".join(field(1, field(1, k.encode()) + field(2, v.encode())) for k, v in sorted(labels.items()))
    values = b"".join(field(2, b"\x09" + struct.pack("<d", value) + b"\x10" + uvarint(at)) for at, value in samples)
    request = urllib.request.Request(f"{url}/api/v1/write", _snappy(field(1, pairs + values)))
    request.add_header("Content-Encoding", "snappy")
    request.add_header("Content-Type", "application/x-protobuf")
    request.add_header("X-Prometheus-Remote-Write-Version", "0.1.0")
    with urllib.request.urlopen(request, timeout=300) as answer:
        assert answer.status == 204


@pytest.fixture
def long_url(start_prometheus: StartPrometheus, tmp_path: Path) -> str:
    """Blocks that overlap, a gap, a head with staleness markers, jitter, a counter, a NaN, a series of one sample."""
    random = np.random.default_rng(0)
    jitter = random.integers(-2, 3, 2000) / 1000

    def every_15_s(first: int, last: int, value) -> dict[float, float]:
        # Half a second off the bounds of the steps, because Prometheus 2 counts the sample at the left end twice.
        return {START_S + 0.5 + 15 * i + jitter[i]: value(i) for i in range(first, last)}

    gap = every_15_s(0, 500, lambda i: random.integers(0, 101) / 100) | every_15_s(700, 900, lambda _: 1.0)
    old = [
        openmetrics("util", {"gpu": "0"}, gap),
        openmetrics("util", {"gpu": "1"}, every_15_s(0, 900, lambda _: 0.0) | {START_S + 99.0: math.nan}),
        openmetrics("requests_total", {"gpu": "0"}, every_15_s(0, 900, lambda i: 1e6 + 7.0 * i), kind="counter"),
    ]
    again = [
        openmetrics("util", {"gpu": "0"}, every_15_s(300, 1000, lambda _: random.random())),
        openmetrics("util", {"gpu": "2"}, {START_S + 7000.5: -math.inf}),
    ]
    (tmp_path / "prometheus").mkdir()
    backfill("".join(old), tmp_path / "prometheus" / "data")
    url = start_prometheus(series="".join(again), flags=("--web.enable-remote-write-receiver",))
    later = [(1000 * (START_S + 15 * i) + 500, (STALE if i % 90 == 0 else random.random())) for i in range(1010, 1800)]
    write(url, {"__name__": "util", "gpu": "0"}, later)
    write(url, {"__name__": "util", "gpu": "3"}, [(at, STALE) for at, _ in later[-3:]])
    return url


@NEEDS_PROMETHEUS
def test_remote_read_and_range_queries_give_the_same_grid(long_url: str):
    selections = {
        Reduce.MAX: Selection(("util", "requests_total", "none"), (Matcher("gpu", Match.REGEX, "0|1|2|3"),)),
        Reduce.MIN: Selection(("util",), (Matcher("gpu", Match.NOT_EQUAL, "1"),), Reduce.MIN),
    }
    windows = [
        Window(START_S - 600, START_S + 15 * 1900, 60),
        Window(START_S + 900, START_S + 900 + 300 * 20, 300),  # chunks reach beyond it at both ends
        Window(START_S, START_S + 15 * 1800, 15),
    ]
    with PrometheusClient(PrometheusSettings(long_url)) as client:
        for reduce, selection in selections.items():
            for window in windows:
                ours = merged(RemoteRead(client).series([selection], window), reduce)
                theirs = merged(RangeQueries(client).series([selection], window), reduce)
                assert ours.keys() == theirs.keys()
                assert ours
                for key, values in ours.items():
                    np.testing.assert_array_equal(values, theirs[key], err_msg=str((key, window)))


@NEEDS_PROMETHEUS
def test_a_series_longer_than_a_frame_comes_in_one_piece(start_prometheus: StartPrometheus):
    random = np.random.default_rng(0)
    samples = {START_S + 15.0 * i: float(random.random()) for i in range(5000)}
    text = openmetrics("util", {"gpu": "0"}, samples) + openmetrics("util", {"gpu": "1"}, {float(START_S): 1.0})
    url = start_prometheus(series=text, flags=("--storage.remote.read-max-bytes-in-frame=4096",))
    window = Window(START_S, START_S + 75_000, 15)
    with PrometheusClient(PrometheusSettings(url)) as client:
        first, second = RemoteRead(client).series([Selection(("util",), ())], window)
        np.testing.assert_array_equal(first.values, list(samples.values()))
        assert second.values[0] == 1.0


@NEEDS_PROMETHEUS
def test_external_labels_are_kept_and_an_empty_selection_reads_nothing(start_prometheus: StartPrometheus):
    config = "global: {external_labels: {cluster: west}}"
    url = start_prometheus(series=openmetrics("util", {"gpu": "0"}, {float(START_S): 1.0}), config=config)
    with PrometheusClient(PrometheusSettings(url)) as client:
        (one,) = RemoteRead(client).series([UTIL], HOUR)
        assert one.labels == LABELS | {"cluster": "west"}
        assert list(RemoteRead(client).series([Selection((), ())], HOUR)) == []


def test_the_fake_server_implements_remote_read():
    (one,) = read(COMPLETE)
    assert one.labels == LABELS
    np.testing.assert_array_equal(one.values, [0.0, 0.5, *[math.nan] * 10])


@pytest.mark.parametrize("kind", [2, 3])
def test_native_histograms_are_missing_values(kind):
    histogram = frame(LABELS | {"gpu": "1"}, b"\x00\x01", kind=kind)
    first, second = sorted(read(COMPLETE, histogram), key=lambda one: one.labels["gpu"])
    np.testing.assert_array_equal(first.values[:2], [0.0, 0.5])
    assert np.isnan(second.values).all()


UNKNOWN = frame(LABELS, b"\x00\x01", kind=4)
BROKEN = {
    "cut in a frame": ([COMPLETE[:-1]], "ends within a frame"),
    "cut in a later frame": ([COMPLETE, COMPLETE[:9]], "ends within a frame"),
    "cut in a length": ([b"\x80"], "ends within a frame"),
    "an error's text after a frame": (
        [COMPLETE, b"context deadline exceeded\n"],
        "within a frame: context deadline exc",
    ),
    "a wrong checksum": ([framed(message(LABELS), crc=7)], "checksum"),
    "a flipped bit": ([COMPLETE[:-1] + bytes([COMPLETE[-1] ^ 1])], "checksum"),
    "no message": ([framed(b"\xff\xff\xff")], "is not a valid message"),
    "an endless length": ([b"\xff" * 9], "a frame of more than 64 MiB"),
    "a huge length": ([uvarint(2**30) + bytes(9)], "a frame of more than 64 MiB"),
    "a truncated chunk": (
        [frame(LABELS, encode([(at_ms(0), 1.0)]), encode([(at_ms(1), 1.0)])[:-1])],
        "chunk 2 of 2 is damaged",
    ),
    "an empty chunk": ([frame(LABELS, b"")], "chunk 1 of 1 is damaged"),
    "a chunk of another type": ([UNKNOWN], "a chunk of the unknown type 4"),
    "another metric": ([frame(LABELS | {"__name__": "up"}, encode([(at_ms(0), 1.0)]))], "not requested: 'up'"),
    "no name": ([frame({"gpu": "0"})], "not requested: None"),
}


@pytest.mark.parametrize("name", BROKEN)
def test_an_incomplete_stream_is_an_error(name):
    pieces, says = BROKEN[name]
    with pytest.raises(SourceError, match=rf"http://prometheus sent an invalid response: .*{says}"):
        read(*pieces)


@pytest.mark.parametrize(
    ("length", "says"),
    [(len(COMPLETE), None), (len(COMPLETE) + 1, "cannot reach Prometheus at .*: peer closed connection")],
)
def test_a_connection_that_breaks_is_an_error_even_between_frames(length, says):
    headers = {"Content-Type": STREAMED, "Content-Length": str(length)}
    with (
        answering(lambda _: (200, COMPLETE, headers)) as url,
        PrometheusClient(PrometheusSettings(url, timeout_s=20.0)) as client,
    ):
        series = RemoteRead(client).series([UTIL], HOUR)
        if says is None:
            assert len(list(series)) == 1
        else:
            with pytest.raises(SourceError, match=says):
                list(series)


def test_an_html_page_instead_of_a_stream_is_an_error():
    transport = httpx.MockTransport(lambda _: httpx.Response(200, html="<html>please log in</html>"))
    with (
        PrometheusClient(PrometheusSettings("http://prometheus"), transport=transport) as client,
        pytest.raises(
            SourceError, match=r"content of type text/html; check that --prometheus is the URL of Prometheus"
        ),
    ):
        list(RemoteRead(client).series([UTIL], HOUR))


@given(st.lists(st.binary(max_size=60), max_size=5))
def test_arbitrary_bytes_are_at_most_an_error(pieces):
    if b"".join(pieces):
        with pytest.raises(SourceError) as caught:
            read(*pieces)
        assert caught.value.problem.isprintable()
    else:
        assert read(*pieces) == []


@given(st.binary(max_size=60), st.binary(max_size=40))
def test_arbitrary_bytes_in_a_valid_frame_are_at_most_an_error(body, chunk):
    for piece in (framed(body), frame(LABELS, chunk)):
        try:
            for one in read(piece):
                assert one.values.shape == (HOUR.steps,)
        except SourceError:
            pass


@given(st.lists(st.integers(1, 30), min_size=1))
def test_the_sizes_of_the_pieces_do_not_matter(cuts):
    stream = b"".join(frame(LABELS | {"gpu": str(i)}, encode([(at_ms(i), float(i))])) for i in range(4))
    pieces, at = [], 0
    while at < len(stream):
        size = cuts[len(pieces) % len(cuts)]
        pieces.append(stream[at : at + size])
        at += size
    found = [message.chunked_series[0].labels[1].value for message in frames(pieces)]
    assert found == ["0", "1", "2", "3"]


@given(st.integers(0, len(COMPLETE) - 1), st.integers(1, 255))
def test_every_changed_byte_is_detected(index, flip):
    changed = bytearray(COMPLETE)
    changed[index] ^= flip
    with pytest.raises(Malformed):
        list(frames([bytes(changed)]))


def test_at_most_one_series_is_read_ahead():
    pulled = []

    def pieces():
        for i in range(50):
            pulled.append(i)
            yield frame(LABELS | {"gpu": str(i)}, encode([(at_ms(0), float(i))]))

    body = Pieces(pieces())
    transport = httpx.MockTransport(lambda _: httpx.Response(200, headers={"Content-Type": STREAMED}, stream=body))
    with PrometheusClient(PrometheusSettings("http://prometheus"), transport=transport) as client:
        series = RemoteRead(client).series([UTIL], HOUR)
        for given_out in range(1, 6):
            next(series)
            assert len(pulled) <= given_out + 1
        series.close()
    assert body.closed


def test_parts_of_a_series_are_joined_and_may_overlap():
    early, late = [encode([(at_ms(step), value)]) for step, value in ((0, 1.0), (3, 4.0))]
    outside = encode([(at_ms(-1), 9.0), (at_ms(HOUR.steps), 9.0)])
    first, second = read(
        frame(LABELS, early, early),
        frame(LABELS, outside, late),
        frame(LABELS, late, early),
        frame(LABELS | {"gpu": "1"}, late),
    )
    np.testing.assert_array_equal(first.values, [1.0, math.nan, math.nan, 4.0, *[math.nan] * 8])
    np.testing.assert_array_equal(second.values, [math.nan, math.nan, math.nan, 4.0, *[math.nan] * 8])
