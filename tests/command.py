"""Runs a command line in the process of the test: a process takes a second of CPU time to start."""

import io
import os
import subprocess
import sys
from contextlib import redirect_stderr, redirect_stdout
from pathlib import Path
from unittest.mock import patch

from gpuwise.cli import main


def ran(*arguments: str, home: Path, **env: str) -> "subprocess.CompletedProcess[str]":
    """Run gpuwise with no configuration from outside, with its streams as text."""
    inherited = {key: value for key, value in os.environ.items() if not key.startswith(("GPUWISE_", "KUBECONFIG"))}
    out, err = (io.TextIOWrapper(io.BytesIO(), "utf-8", newline="", write_through=True) for _ in range(2))
    with (
        patch.dict(os.environ, inherited | {"HOME": str(home)} | env, clear=True),
        patch.object(sys, "argv", ["gpuwise", *arguments]),
        redirect_stdout(out),
        redirect_stderr(err),
    ):
        try:
            main()
        except SystemExit as ended:
            code = ended.code if isinstance(ended.code, int) else 1
        else:
            code = 0
    stdout, stderr = (stream.buffer.getvalue().decode() for stream in (out, err))  # type: ignore[attr-defined]
    return subprocess.CompletedProcess(list(arguments), code, stdout, stderr)
