"""The entry point: errors as one line, and no traceback for what a user, a full disk or a closed pipe does.

What takes time to import is imported inside of `main`, so that an early Ctrl-C is answered like a late one.
"""

import io
import os
import sys

_OUTPUT = "standard output"


def main() -> None:
    """Run the command line; a user's mistake ends in one line and exit code 1."""
    try:
        code = _run()
    except KeyboardInterrupt:
        code = _failed("stopped; nothing more was done")
    except BrokenPipeError:  # the reader, such as `head`, has all it wants
        code = 1
    except OSError as error:
        code = _failed(_told(error))
    _abandon(sys.stdout)
    _abandon(sys.stderr)
    sys.exit(code)


def _run() -> int:
    if sys.stdout is None or sys.stderr is None:
        return _failed("standard output or standard error is closed; send it to a file or to /dev/null")
    from gpuwise.cli.commands import run  # noqa: PLC0415 - see above

    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):  # an annotation may hold what the terminal's encoding does not
            stream.reconfigure(errors="backslashreplace")
    code = run(_failed)
    # Only a flush tells whether the last lines were written.
    sys.stdout.flush()
    return code


def _told(error: OSError) -> str:
    if error.filename is None:
        return f"{_OUTPUT}: {error.strerror or error}; is the disk full?"
    return f"{error.filename}: {error.strerror}; is it there, and may it be read and written?"


def _failed(problem: str) -> int:
    try:
        from gpuwise.cli.console import complain  # noqa: PLC0415 - see above

        complain(problem)
    except (OSError, AttributeError, KeyboardInterrupt):  # nobody listens
        pass
    return 1


def _abandon(stream: object) -> None:
    """Let what could not be written go: at its end Python would try again, and print a traceback."""
    try:
        if stream is not None:
            stream.flush()  # type: ignore[attr-defined]
    except (OSError, ValueError):
        os.dup2(os.open(os.devnull, os.O_WRONLY), stream.fileno())  # type: ignore[attr-defined]
