"""The report's page as PDF, printed by the Chromium that is installed."""

import os
import shutil
import subprocess
import tempfile
from collections.abc import Callable
from pathlib import Path

from gpuwise.model.errors import InputError

PROGRAMS = ("chromium", "chromium-browser", "google-chrome-stable", "google-chrome")
TIMEOUT_S = 120.0

_FLAGS = (
    "--headless",
    "--disable-gpu",
    "--disable-extensions",
    "--disable-background-networking",
    "--disable-dev-shm-usage",  # /dev/shm of a container has 64 MiB
    "--no-first-run",
    "--no-pdf-header-footer",
    # The page loads nothing: no name is looked up, whatever it has in it.
    "--host-resolver-rules=MAP * ~NOTFOUND",
)


def installed(which: Callable[[str], str | None] = shutil.which) -> str:
    """Return the path of Chromium.

    Args:
        which: returns the path of a program.

    Raises:
        InputError: there is none.
    """
    found = next((path for name in PROGRAMS if (path := which(name)) is not None), None)
    if found is None:
        problem = f"--pdf needs Chromium, and none of {', '.join(PROGRAMS)} is on the PATH"
        raise InputError(problem, hint="install Debian's package chromium, or print the HTML from a browser")
    return found


def write_pdf(page: Path, chromium: str) -> Path:
    """Print a page to a file of the same name with the suffix .pdf.

    The sandbox of Chromium stays on; it refuses to run as root with it, so for root alone it is off.

    Args:
        page: the HTML, which has no script and loads nothing.
        chromium: path of the program.

    Raises:
        InputError: Chromium did not write the file.
    """
    written = page.with_suffix(".pdf")
    with tempfile.TemporaryDirectory(prefix="gpuwise-chromium-", ignore_cleanup_errors=True) as scratch:
        part = Path(scratch) / "report.pdf"
        profile = f"--user-data-dir={scratch}/profile"
        root = ("--no-sandbox",) if os.geteuid() == 0 else ()
        command = [chromium, *_FLAGS, *root, profile, f"--print-to-pdf={part}", page.resolve().as_uri()]
        # Its caches and crash reports stay in the folder that is removed.
        own = {"HOME": scratch, "XDG_CONFIG_HOME": scratch, "XDG_CACHE_HOME": scratch, "TMPDIR": scratch}
        try:
            done = subprocess.run(  # noqa: S603 - a program of the PATH, no shell
                command, env={**os.environ, **own}, capture_output=True, check=False, timeout=TIMEOUT_S
            )
        except (OSError, subprocess.TimeoutExpired) as error:
            raise _unwritten(written, type(error).__name__) from error
        if done.returncode != 0 or not part.exists() or not part.read_bytes().startswith(b"%PDF-"):
            lines = done.stderr.decode("utf-8", "replace").strip().splitlines()
            raise _unwritten(written, lines[-1][:300] if lines else f"it ended with {done.returncode}")
        shutil.copyfile(part, written)
    return written


def _unwritten(path: Path, why: str) -> InputError:
    hint = "in a container, its sandbox needs user namespaces; the HTML is complete and can be printed from a browser"
    return InputError(f"Chromium did not write {path}: {why}", hint=hint)
