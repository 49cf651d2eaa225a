"""Every backtest on the public traces: each trial is work for any machine that has the same traces."""

import hashlib
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from itertools import groupby
from pathlib import Path
from typing import Any

from gpuwise.backtest.catalogue import BACKTESTS
from gpuwise.backtest.contract import Backtest, Result, Trial, Verdict
from gpuwise.backtest.runner import play
from gpuwise.model.ports import Executor

_BY_NAME = {kind.name: kind for kind in BACKTESTS}


@dataclass(frozen=True, slots=True)
class Row:
    """One backtest on all of its public traces.

    Attributes:
        kind: the backtest.
        results: one for each trial.
        verdicts: its goals.
    """

    kind: Backtest[Any]
    results: Sequence[Result]
    verdicts: Sequence[Verdict]


def play_every(data: Path, executor: Executor, progress: Callable[[str, int, int], None]) -> list[Row]:
    """Play every policy and its baselines on the public traces.

    Args:
        data: folder of the traces; on Ray, every node has it under the same path.
        executor: where the trials run.
        progress: called after each trial with the backtest's name, its finished trials, and their number.

    Raises:
        InputError: a trace cannot be read.
        SourceError: the executor failed, or no node has the same traces.
    """
    data = data.resolve()
    trials = [(kind.name, trial) for kind in BACKTESTS for trial in kind.trials(data)]
    results = executor.map(_play, trials, same=partial(digest_of, data))
    rows: list[Row] = []
    for name, group in groupby(trials, key=lambda one: one[0]):
        total, found = len(list(group)), list[Result]()
        while len(found) < total:
            found.append(next(results))
            progress(name, len(found), total)
        rows.append(Row(_BY_NAME[name], found, _BY_NAME[name].goals(found)))
    return rows


def digest_of(data: Path) -> Mapping[str, str]:
    """Return a digest of all files of a folder, by their names and contents."""
    digest = hashlib.sha256()
    for path in sorted(data.rglob("*")):
        if path.is_file():
            content = hashlib.sha256(path.read_bytes()).digest()
            digest.update(f"{path.relative_to(data).as_posix()}\0".encode() + content)
    return {"traces": digest.hexdigest()[:12]}


def _play(task: tuple[str, Trial]) -> Result:
    name, trial = task
    return play(_BY_NAME[name], trial.given, label=trial.label)
