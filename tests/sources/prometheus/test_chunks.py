"""The chunk kernel and its twin agree to the last bit on valid and damaged chunks, and no input crashes either."""

import ctypes
import math
import mmap
from array import array
from collections.abc import Iterator
from itertools import accumulate

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.xor_chunks import encode

from gpuwise.sources.prometheus import _chunks, _chunks_c, _chunks_py

START, STEP, STEPS = 1_780_000_000_000, 60_000, 12
STALE = np.uint64(0x7FF0000000000002).view(np.float64).item()
KERNELS = [_chunks_c.reduce_chunks, _chunks_py.reduce_chunks]

times = st.lists(
    st.integers(START - STEP, START + (STEPS + 1) * STEP)
    | st.sampled_from([START, START - 1, START + STEP - 1, START + STEPS * STEP, 0, -1, 2**62, -(2**62)]),
    unique=True,
).map(sorted)
near = st.integers(START - 5 * STEP, START).flatmap(
    lambda first: st.lists(st.sampled_from([15_000, 15_000, 15_001, 30_000, 200_000, 4_000_000]), max_size=140).map(
        lambda deltas: list(accumulate(deltas, initial=first))
    )
)
numbers = st.floats() | st.integers(0, 100).map(lambda n: n / 100) | st.sampled_from([0.0, -0.0, STALE, math.inf])


@st.composite
def chunks(draw) -> bytes:
    at = draw(times | near)
    return encode([(one, draw(numbers)) for one in at])


def run(kernel, parts, *, lowest=False, start=START, before=math.nan):
    values = np.full(STEPS, before)
    ends = array("q", accumulate(map(len, parts)))
    found = kernel(b"".join(parts) + bytes(_chunks_py.PADDING), ends, values, start, STEP, lowest)
    return found, values


def same(parts, **options):
    (found, values), (twins, twin_values) = (run(kernel, parts, **options) for kernel in KERNELS)
    assert found == twins
    np.testing.assert_array_equal(values.view(np.uint64), twin_values.view(np.uint64))
    return found, values


def test_the_compiled_kernel_is_the_one_in_use():
    assert _chunks.reduce_chunks is _chunks_c.reduce_chunks
    assert _chunks_c.__file__.endswith(".so")


@given(st.lists(chunks(), max_size=4), st.booleans())
def test_they_agree_on_valid_chunks_and_count_every_sample(parts, lowest):
    found, _ = same(parts, lowest=lowest)
    assert found == sum(int.from_bytes(part[:2], "big") for part in parts)


@given(st.lists(st.tuples(near, st.randoms(use_true_random=False)), min_size=1, max_size=3), st.booleans())
def test_each_step_has_the_extreme_of_its_samples(series, lowest):
    samples = [[(at, random.randint(0, 100) / 100) for at in times] for times, random in series]
    _, values = same([encode(part) for part in samples], lowest=lowest)
    expected = np.full(STEPS, np.nan)
    for at, value in (sample for part in samples for sample in part):
        if START <= at < START + STEPS * STEP:
            index = (at - START) // STEP
            expected[index] = (np.fmin if lowest else np.fmax)(expected[index], value)
    np.testing.assert_array_equal(values, expected)


@given(st.lists(chunks(), min_size=1, max_size=3), st.data())
def test_they_agree_on_damaged_chunks(parts, data):
    index = data.draw(st.integers(0, len(parts) - 1))
    cut = data.draw(st.integers(0, len(parts[index])))
    damaged = bytearray(parts[index][:cut] if data.draw(st.booleans()) else parts[index])
    for _ in range(data.draw(st.integers(0, 3))):
        if damaged:
            damaged[data.draw(st.integers(0, len(damaged) - 1))] = data.draw(st.integers(0, 255))
    same([*parts[:index], bytes(damaged), *parts[index + 1 :]])


@given(st.lists(st.binary(max_size=200), max_size=4), st.booleans())
def test_they_agree_on_arbitrary_bytes(parts, lowest):
    same(parts, lowest=lowest)


@given(chunks(), st.integers(1, 30))
def test_a_truncated_chunk_is_damaged_never_shorter(part, missing):
    if len(part) > missing:
        assert same([part[:-missing]])[0] == -1


@pytest.fixture(scope="module")
def guarded() -> Iterator[memoryview]:
    """A page of memory before a page that ends the process if it is read."""
    pages = mmap.mmap(-1, 2 * mmap.PAGESIZE)
    start = ctypes.addressof(ctypes.c_char.from_buffer(pages))
    protect = ctypes.CDLL(None, use_errno=True).mprotect
    assert protect(ctypes.c_void_p(start + mmap.PAGESIZE), ctypes.c_size_t(mmap.PAGESIZE), 0) == 0
    yield memoryview(pages)[: mmap.PAGESIZE]
    assert protect(ctypes.c_void_p(start + mmap.PAGESIZE), ctypes.c_size_t(mmap.PAGESIZE), mmap.PROT_READ) == 0


@given(st.binary(max_size=300) | chunks().filter(lambda part: len(part) < 2000), st.integers(0, 40))
def test_no_byte_after_the_padding_is_read(guarded, part, missing):
    part = part[: max(0, len(part) - missing)]
    data = part + b"\xff" * _chunks_py.PADDING
    guarded[-len(data) :] = data
    found = _chunks_c.reduce_chunks(
        guarded[-len(data) :], array("q", [len(part)]), np.full(STEPS, np.nan), START, STEP, False
    )
    assert found == run(_chunks_py.reduce_chunks, [part])[0]


def test_the_damaged_chunk_is_reported_and_chunks_before_it_are_kept():
    good, bad = encode([(START, 1.0)]), encode([(START + STEP, 2.0)])[:-1]
    found, values = same([good, bad, good])
    assert found == -2
    np.testing.assert_array_equal(values[:2], [1.0, np.nan])


def test_staleness_markers_and_other_nans_are_not_samples():
    part = encode([(START, 0.25), (START + 1, STALE), (START + 2, math.nan), (START + STEP, STALE)])
    found, values = same([part])
    assert found == 4
    np.testing.assert_array_equal(values, [0.25, *[np.nan] * (STEPS - 1)])


@pytest.mark.parametrize(("lowest", "kept"), [(False, [7.0, 5.0]), (True, [1.0, 5.0])])
def test_the_existing_value_of_a_step_counts(lowest, kept):
    part = encode([(START, 1.0), (START + 1, 7.0)])
    _, values = same([part], lowest=lowest, before=5.0)
    np.testing.assert_array_equal(values[:2], kept)


@pytest.mark.parametrize("kernel", KERNELS)
@pytest.mark.parametrize(
    ("ends", "start", "step"),
    [
        ([5], START, STEP),
        ([40], START, STEP),
        ([-1], START, STEP),
        ([3, 2], START, STEP),
        ([2**62], START, STEP),
        ([], START, 0),
        ([], START, -1),
        ([], 2**60, STEP),
        ([], -(2**63), STEP),
        ([], START, 2**62),
    ],
)
def test_invalid_arguments_are_rejected_before_reading(kernel, ends, start, step):
    with pytest.raises(ValueError, match=r"ends do not|the grid"):
        kernel(bytes(4 + _chunks_py.PADDING), array("q", ends), np.full(STEPS, np.nan), start, step, False)


def test_no_chunk_and_no_step_are_valid():
    assert same([])[0] == 0
    part = encode([(START, 1.0)])
    for kernel in KERNELS:
        assert kernel(part + bytes(32), array("q", [len(part)]), np.empty(0), START, STEP, False) == 1
