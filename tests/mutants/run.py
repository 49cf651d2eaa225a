"""Plants one bug at a time in a copy of the tree and runs the tests that must notice it: `make mutants`."""

import argparse
import os
import queue
import shutil
import subprocess
import sys
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import TypeVar

import click
from tests.mutants.planted import MUTANTS, Mutant

ROOT = Path(__file__).parents[2]
COPIES = ROOT / "build" / "mutants"

Result = TypeVar("Result")

# pytest's exit codes: tests passed, tests failed. Any other is no verdict: nothing was collected, or it crashed.
_PASSED, _FAILED, _NOTHING_LEFT = 0, 1, 5
# Ten times the slowest mutant on two cores.
_TIMEOUT_S = 300.0


class PlantingError(Exception):
    """A mutant does not fit the source, or its tests do not pass without it."""


@dataclass(frozen=True, slots=True)
class Verdict:
    """What became of one mutant.

    Attributes:
        mutant: which.
        killed: whether a test noticed it.
        by: the test that noticed it first, "" for none.
        seconds: that its tests took.
    """

    mutant: Mutant
    killed: bool
    by: str
    seconds: float


def planted(mutant: Mutant, source: str) -> str:
    """The source with the bug in it.

    Raises:
        PlantingError: the text is not there exactly once.
    """
    found = source.count(mutant.text)
    if found != 1:
        raise PlantingError(
            f"{mutant.name}: its text is {found} times in {mutant.file}, and must be there once: {mutant.text!r}"
        )
    return source.replace(mutant.text, mutant.replacement)


def check(mutants: Iterable[Mutant], root: Path) -> None:
    """Check that every mutant can be planted and that its tests are there.

    Raises:
        PlantingError: one does not, by its name.
    """
    names: set[str] = set()
    for mutant in mutants:
        if mutant.name in names:
            raise PlantingError(f"two mutants are named {mutant.name}")
        names.add(mutant.name)
        planted(mutant, (root / mutant.file).read_text(encoding="utf-8"))
        for test in mutant.tests:
            if not (root / test.partition("::")[0]).is_file():
                raise PlantingError(f"{mutant.name}: there is no {test}")


def copy_of(root: Path, to: Path) -> Path:
    """Copy the tracked and the new files of a tree, and its compiled extensions; changed ones as they are now."""
    shutil.rmtree(to, ignore_errors=True)
    listed = subprocess.run(
        ["git", "ls-files", "-z", "--cached", "--others", "--exclude-standard"],
        cwd=root,
        check=True,
        capture_output=True,
        text=True,
    ).stdout.split("\0")
    built = (str(path.relative_to(root)) for path in (root / "src").rglob("*.so"))
    for name in (*filter(None, listed), *built):
        if (root / name).is_file():
            (to / name).parent.mkdir(parents=True, exist_ok=True)
            shutil.copy2(root / name, to / name)
    return to


def run_tests(tree: Path, tests: Sequence[str]) -> tuple[int, str]:
    """Run some tests on the code of a copy.

    Returns:
        pytest's exit code, and the first test that failed or the end of the output.
    """
    environment = {
        **{name: value for name, value in os.environ.items() if name != "GPUWISE_TEST_SEED"},
        "PYTHONPATH": os.pathsep.join((str(tree / "src"), str(tree))),  # before the editable install
        "PYTHONDONTWRITEBYTECODE": "1",  # two mutants of one file within a second have the same timestamp
        "OPENBLAS_NUM_THREADS": "1",
    }
    command = [sys.executable, "-m", "pytest", "-p", "tests.mutants.unshrunk", "--hypothesis-profile=unshrunk"]
    options = ["-x", "-q", "--tb=line", "-p", "no:cacheprovider", "--no-header", "--numprocesses", "0"]
    try:
        done = subprocess.run(
            [*command, *options, *tests],
            cwd=tree,
            env=environment,
            capture_output=True,
            text=True,
            timeout=_TIMEOUT_S,
            check=False,
        )
    except subprocess.TimeoutExpired:
        return -1, f"no result after {_TIMEOUT_S:.0f} s"
    lines = (line for line in done.stdout.splitlines() if line.startswith("FAILED "))
    failed = [line.removeprefix("FAILED ").partition(" - ")[0] for line in lines]  # a parameter may have spaces
    return done.returncode, failed[0] if failed else (done.stdout + done.stderr)[-2000:]


def judge(mutant: Mutant, tree: Path) -> Verdict:
    """Plant one mutant in a copy, run its tests, and take it out again.

    Raises:
        PlantingError: the tests did not come to a verdict.
    """
    begun = time.perf_counter()
    before = {path: path.read_text(encoding="utf-8") for path in _changed(mutant, tree)}
    for path, source in before.items():
        path.write_text(
            planted(mutant, source) if path == tree / mutant.file else _interpreted(source), encoding="utf-8"
        )
    try:
        code, said = _confirmed(tree, mutant.tests)
    finally:
        for path, source in before.items():
            path.write_text(source, encoding="utf-8")
    if code not in {_PASSED, _FAILED}:
        raise PlantingError(f"{mutant.name}: pytest ended with {code}, which is no verdict:\n{said}")
    return Verdict(mutant, code == _FAILED, said if code == _FAILED else "", time.perf_counter() - begun)


def _changed(mutant: Mutant, tree: Path) -> list[Path]:
    """The files to change: that of the mutant, and of a kernel's specification the file that selects the kernel."""
    path = tree / mutant.file
    return [path, path.with_name(path.name.replace("_py.py", ".py"))] if path.name.endswith("_py.py") else [path]


def _interpreted(source: str) -> str:
    """The file that selects a kernel, with the specification instead: only so does a bug in it decide."""
    return source.replace("_c import", "_py import")


def _confirmed(tree: Path, tests: Sequence[str]) -> tuple[int, str]:
    """Run some tests; a failure counts only if the same test fails again, since a test that flickers kills nothing."""
    flickering: list[str] = []
    while True:
        code, said = run_tests(tree, [*tests, *(f"--deselect={one}" for one in flickering)])
        if code == _NOTHING_LEFT and flickering:
            return _PASSED, ""
        if code != _FAILED or run_tests(tree, [said])[0] != _PASSED:
            return code, said
        flickering.append(said)


def judge_all(mutants: Sequence[Mutant], root: Path, copies: Path, workers: int) -> Iterator[Verdict]:
    """Judge mutants in parallel, each worker in its own copy, and yield the verdicts in order.

    Args:
        mutants: which.
        root: the tree; it is not changed.
        copies: folder for the copies, removed afterwards.
        workers: how many at once.

    Raises:
        PlantingError: one cannot be planted, its tests fail without it, or there was no verdict.
    """
    check(mutants, root)
    free: queue.Queue[Path] = queue.Queue()
    for number in range(workers):
        free.put(copy_of(root, copies / str(number)))
    tests = sorted({test for mutant in mutants for test in mutant.tests})

    def sound(test: str) -> None:
        code, said = _in_a_copy(free, lambda tree: run_tests(tree, [test]))
        if code != _PASSED:
            raise PlantingError(f"{test} does not pass without any mutant, so it can judge none:\n{said}")

    try:
        with ThreadPoolExecutor(workers) as pool:
            list(pool.map(sound, tests))
            yield from pool.map(lambda mutant: _in_a_copy(free, lambda tree: judge(mutant, tree)), mutants)
    finally:
        shutil.rmtree(copies, ignore_errors=True)


def _in_a_copy(free: "queue.Queue[Path]", work: Callable[[Path], Result]) -> Result:
    tree = free.get()
    try:
        return work(tree)
    finally:
        free.put(tree)


def report(verdicts: Iterable[Verdict]) -> int:
    """Print what became of each; the exit code: 0 only if none survives."""
    planted_count, surviving = 0, []
    for one in verdicts:
        planted_count += 1
        if not one.killed:
            surviving.append(one.mutant)
        fate = "killed" if one.killed else "SURVIVES"
        click.echo(f"{fate:<9}{one.mutant.name:<52}{one.seconds:5.1f} s  {one.by}")
    click.echo(f"planted {planted_count}, killed {planted_count - len(surviving)}, surviving {len(surviving)}")
    for mutant in surviving:
        click.echo(f"  {mutant.name} in {mutant.file}, not noticed by {', '.join(mutant.tests)}: {mutant.matters}")
    return 1 if surviving else 0


def named(names: Sequence[str]) -> list[Mutant]:
    """The mutants of these names, all of them if none is given.

    Raises:
        PlantingError: there is no such mutant.
    """
    unknown = sorted(set(names) - {mutant.name for mutant in MUTANTS})
    if unknown:
        raise PlantingError(f"there is no mutant {', '.join(unknown)}")
    return [mutant for mutant in MUTANTS if not names or mutant.name in names]


def main(arguments: Sequence[str] | None = None) -> int:
    """Judge all mutants, or those that are named."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("names", nargs="*", help="mutants; all of them if none is named")
    parser.add_argument("--workers", type=int, default=os.cpu_count() or 1)
    given = parser.parse_args(arguments)
    try:
        return report(judge_all(named(given.names), ROOT, COPIES, given.workers))
    except PlantingError as error:
        click.echo(error, err=True)
        return 2


if __name__ == "__main__":
    sys.exit(main())
