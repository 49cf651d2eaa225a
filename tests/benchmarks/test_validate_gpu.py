"""`make validate-gpu` without a GPU, and how it reads dmon."""

import shutil
import subprocess
import sys
from contextlib import nullcontext
from pathlib import Path
from types import SimpleNamespace

import pytest
from benchmarks.validate_gpu import __main__ as validation
from benchmarks.validate_gpu.__main__ import Row, merged, section
from benchmarks.validate_gpu.references import dmon_columns
from tests.conftest import REPOSITORY

DMON = """\
# gpu    pwr  gtemp  mtemp     sm    mem    enc    dec    jpg    ofa   mclk   pclk
# Idx      W      C      C      %      %      %      %      %      %    MHz    MHz
    0    267     42     45    100      1      0      0      0      -   3201   1980
"""


def test_the_columns_of_dmon_are_read_by_name():
    columns = dmon_columns(DMON)
    assert (columns["pwr"], columns["sm"], columns["pclk"], columns["ofa"]) == ("267", "100", "1980", "-")


def test_a_gpu_replaces_its_own_section_and_keeps_those_of_others():
    first, second, again = (
        section([Row("idle", "power", "70", value, agrees=True)], [], {"GPU": gpu})
        for gpu, value in (("NVIDIA H200", "71"), ("NVIDIA A100", "72"), ("NVIDIA H200", "73"))
    )
    document = merged(merged(merged("", first), second), again)
    assert [line for line in document.splitlines() if line.startswith("## ")] == ["## NVIDIA H200", "## NVIDIA A100"]
    assert [value in document for value in ("| 71 |", "| 72 |", "| 73 |")] == [False, True, True]
    assert document.startswith("# Validation on real GPUs\n")


@pytest.mark.parametrize("gpu", ["NVIDIA H100 80GB HBM3", "NVIDIA RTX 6000 Ada Generation"])
@pytest.mark.parametrize("used", [None, 60 * 2**30])
def test_a_gpu_without_a_threshold_or_without_a_metric_is_not_compared(monkeypatch, gpu, used):
    known = {"gpuwise_gpu_memory_total_bytes": 80 * 2.0**30, "gpuwise_gpu_memory_used_bytes": used}
    exporter = SimpleNamespace(value=lambda metric: known.get(metric, 0.0))
    monkeypatch.setattr(validation, "properties", lambda: {"GPU": gpu})
    monkeypatch.setattr(validation, "loaded", lambda *_: nullcontext())
    monkeypatch.setattr(validation.time, "sleep", lambda _: None)
    rows = {row.quantity: row for row in validation.waiting(exporter, Path("load"))}
    assert rows["memory used"].agrees is (None if used is None else True)
    assert rows["power"].agrees is (True if "H100" in gpu else None)
    assert "| yes |" in section(list(rows.values()), [], {"GPU": gpu})


def test_the_document_is_as_it_is_written():
    document = (REPOSITORY / "docs" / "validation.md").read_text()
    newest = document[document.rindex("\n## ") + 1 :]
    assert merged(document, newest) == document


@pytest.mark.parts
@pytest.mark.skipif(shutil.which("nvidia-smi") is not None, reason="this machine has a GPU: make validate-gpu reads it")
def test_without_a_gpu_it_reads_the_fake_and_says_so(tmp_path: Path):
    output = tmp_path / "validation.md"
    done = subprocess.run(
        [sys.executable, "-m", "benchmarks.validate_gpu", "--output", output],
        cwd=REPOSITORY, capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stdout + done.stderr
    text = output.read_text()
    assert "**No real GPU could be reached.**" in text
    assert "| fake | power | 312.5 | 312.5 | yes |" in text
    assert "**no**" not in text
