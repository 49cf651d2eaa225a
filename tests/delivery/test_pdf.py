"""The PDF: Chromium runs with its sandbox wherever it can, loads nothing, and leaves nothing."""

import os
from pathlib import Path

import pytest
from tests.http_server import answering

from gpuwise.delivery.pdf import PROGRAMS, installed, write_pdf
from gpuwise.model.errors import InputError

# Writes its arguments beside the file that it is asked for, and a PDF.
FAKE = """#!/bin/sh
printf '%s\\n' "$@" > {folder}/arguments
env > {folder}/environment
for one in "$@"; do case "$one" in --print-to-pdf=*) printf '%%PDF-1.4' > "${{one#*=}}";; esac; done
"""


@pytest.fixture
def page(tmp_path):
    path = tmp_path / "report.html"
    path.write_text("<p>report</p>")
    return path


@pytest.fixture
def fake(tmp_path):
    program = tmp_path / "chromium"
    program.write_text(FAKE.format(folder=tmp_path))
    program.chmod(0o755)
    return str(program)


@pytest.mark.parametrize(("user", "expected"), [(0, True), (1000, False), (65532, False)])
def test_the_sandbox_is_off_for_root_alone(monkeypatch, tmp_path, page, fake, user, expected):
    monkeypatch.setattr(os, "geteuid", lambda: user)
    assert write_pdf(page, fake) == page.with_suffix(".pdf")
    arguments = (tmp_path / "arguments").read_text().splitlines()
    assert ("--no-sandbox" in arguments) is expected
    assert not [one for one in arguments[:-1] if "sandbox" in one and one != "--no-sandbox"]
    assert arguments[-1] == page.as_uri()


def test_chromium_has_a_folder_of_its_own_that_is_removed(tmp_path, page, fake):
    write_pdf(page, fake)
    (folder,) = (one for one in (tmp_path / "environment").read_text().splitlines() if one.startswith("HOME="))
    assert "gpuwise-chromium-" in folder
    assert not Path(folder.removeprefix("HOME=")).exists()


def test_a_program_that_writes_no_pdf_is_an_error(tmp_path, page):
    program = tmp_path / "chromium"
    program.write_text("#!/bin/sh\nexit 0\n")
    program.chmod(0o755)
    with pytest.raises(InputError, match="it ended with 0"):
        write_pdf(page, str(program))
    assert not page.with_suffix(".pdf").exists()


def test_the_first_program_that_is_there_is_used():
    assert installed({PROGRAMS[2]: "/opt/chrome", PROGRAMS[3]: "/opt/other"}.get) == "/opt/chrome"
    with pytest.raises(InputError, match="--pdf needs Chromium"):
        installed(lambda _: None)


def test_the_real_chromium_loads_nothing(tmp_path):
    try:
        program = installed()
    except InputError as error:
        pytest.skip(str(error))
    asked = []
    with answering(lambda headers: asked.append(headers) or (200, b"")) as url:
        path = tmp_path / "report.html"
        port = url.rpartition(":")[2]
        hosts = (url, f"http://localhost:{port}")
        path.write_text("".join(f'<link rel="stylesheet" href="{one}/a.css"><img src="{one}/a.png">' for one in hosts))
        assert write_pdf(path, program).read_bytes().startswith(b"%PDF-")
    assert asked == []
