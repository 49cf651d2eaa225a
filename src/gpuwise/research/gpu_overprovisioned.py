"""Predicts a model's throughput on a MIG slice, from its throughput on the whole GPU and from other models on slices.

A slice slows down only models that saturate it. How close a model comes to saturating the whole GPU is taken from its
throughput there, over batch sizes and processes; models that come equally close lose the same share.
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from gpuwise.recommend.engines.regression import Floats, posterior_mean, radial

WHOLE_GPCS = 7
"""Compute slices of a whole GPU."""

# Length scales in (ln u, ln u1, ln processes, ln batch) and the noise, in squared ln units: round numbers. On the table
# of ParvaGPU the error stays under 9 % with one model left out, for length scales from half to twice these.
_LENGTHS = np.array([1.0, 1.0, 2.0, 2.0])
_NOISE = 0.1
# A peak without a second row near it is a measurement error: densenet169 at batch 128 and two processes has twice the
# rate of all its neighbours, and as the peak it made every other row look half idle.
_PEAK_AGREES = 0.8


@dataclass(frozen=True, slots=True)
class Throughputs:
    """Measured rates, one row per configuration; all arrays have the same length.

    Attributes:
        model: name, object.
        gpcs: compute slices of the instance, 1, 2, 3, 4 or 7.
        batch: batch size.
        processes: MPS processes on the instance.
        ips: inferences per second of one process; 0 if the configuration did not run.
    """

    model: NDArray[np.object_]
    gpcs: NDArray[np.int64]
    batch: NDArray[np.int64]
    processes: NDArray[np.int64]
    ips: Floats

    def rows(self, chosen: NDArray[np.bool_]) -> "Throughputs":
        """A subset of the rows.

        Args:
            chosen: mask of the rows, shape (n,).
        """
        return Throughputs(
            self.model[chosen], self.gpcs[chosen], self.batch[chosen], self.processes[chosen], self.ips[chosen]
        )


def predict_slices(known: Throughputs, whole: Throughputs, gpcs: int) -> Floats:
    """Predict the rates of a model on slices of one size.

    Args:
        known: other models, on whole GPUs and on slices.
        whole: the model itself on whole GPUs.
        gpcs: compute slices of the instances to predict.

    Returns:
        Inferences per second of one process for each row of `whole`, shape (n,); 0 if it did not run on the whole GPU.
    """
    features, ratios = _training_set(known, gpcs)
    wanted = _features(whole)
    ran = whole.ips > 0
    kernel, cross = radial(features, features, _LENGTHS), radial(wanted[ran], features, _LENGTHS)
    predicted = np.zeros(len(whole.ips))
    predicted[ran] = whole.ips[ran] * np.exp(posterior_mean(kernel, cross, np.log(ratios)[:, None], noise=_NOISE)[:, 0])
    return predicted


def _training_set(known: Throughputs, gpcs: int) -> tuple[Floats, Floats]:
    """Features and slice-to-whole ratios of every configuration that was measured on both."""
    features, ratios = [], []
    for model in dict.fromkeys(known.model):
        own = known.rows((known.model == model) & (known.ips > 0))
        whole, part = own.rows(own.gpcs == WHOLE_GPCS), own.rows(own.gpcs == gpcs)
        rates = dict(zip(zip(part.batch, part.processes, strict=True), part.ips, strict=True))
        keys = list(zip(whole.batch, whole.processes, strict=True))
        both = np.array([key in rates for key in keys], dtype=bool)
        features.append(_features(whole)[both])
        ratios.append(np.array([rates[key] for key in keys if key in rates]) / whole.ips[both])
    return np.concatenate(features), np.concatenate(ratios)


def _features(whole: Throughputs) -> Floats:
    """Logarithms of the share of the peak in total and with one process, of processes and batch size, shape (n, 4)."""
    total = whole.ips * whole.processes
    lone = (whole.processes == 1) & (whole.ips > 0)
    alone = dict(zip(whole.batch[lone], whole.ips[lone], strict=True))
    single = np.array([alone.get(batch, ips) for batch, ips in zip(whole.batch, whole.ips, strict=True)])
    with np.errstate(divide="ignore"):  # rows that did not run are left out by the callers
        used = np.log(np.stack([total, single], axis=1) / _peak(total))
    return np.concatenate([used, np.log(np.stack([whole.processes, whole.batch], axis=1))], axis=1)


def _peak(total: Floats) -> float:
    """The highest rate that a second configuration comes close to."""
    highest = np.sort(total)[::-1]
    near = highest[1:] >= _PEAK_AGREES * highest[:-1]
    return float(highest[int(np.argmax(near))] if near.any() else highest[0])
