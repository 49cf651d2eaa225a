"""Models fitted without a part of a trace, found by the names that were left out."""

from dataclasses import dataclass

import numpy as np
import pytest

from gpuwise.backtest import folds


@dataclass(frozen=True, slots=True)
class Line:
    slope: np.ndarray
    level: float


@pytest.fixture
def kept(tmp_path, monkeypatch):
    monkeypatch.setattr(folds, "__file__", str(tmp_path / "folds.py"))
    (tmp_path / "made").mkdir()
    folds.write_folds(
        tmp_path / "made" / "folds.npz",
        [(["a", "b"], Line(np.array([1.0, 2.0]), 3.5)), (["c/d"], Line(np.zeros(2), 0.0))],
    )
    return folds.read_folds("made", Line)


def test_each_name_finds_the_model_that_was_fitted_without_it(kept):
    assert set(kept) == {"a", "b", "c/d"}
    assert kept["a"] is kept["b"]
    assert kept["a"].slope.tolist() == [1.0, 2.0]
    assert kept["a"].level == 3.5
    assert kept["c/d"].level == 0.0
