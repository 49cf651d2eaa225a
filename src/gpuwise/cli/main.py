"""The entry point: one line per error, no traceback for a user's mistake, a full disk or a closed pipe.

Slow imports happen inside `main`, so that Ctrl-C during the import is handled like a later one.
"""

import io
import os
import sys

_OUTPUT = "standard output"


def main() -> None:
    """Run the command line; an error is one line on stderr and exit code 1."""
    try:
        code = _run()
    except KeyboardInterrupt:
        code = _failed("stopped; nothing else was changed")
    except BrokenPipeError:  # the reader, such as `head`, has closed the pipe
        code = 1
    except OSError as error:
        code = _failed(_described(error))
    _abandon(sys.stdout)
    _abandon(sys.stderr)
    sys.exit(code)


def _run() -> int:
    if sys.stdout is None or sys.stderr is None:
        return _failed("standard output or standard error is closed; send it to a file or to /dev/null")
    from gpuwise.cli.commands import run  # noqa: PLC0415 - see above

    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):  # the terminal's encoding may lack a character
            stream.reconfigure(errors="backslashreplace")
    code = run(_failed)
    # Only a flush shows whether the last lines were written.
    sys.stdout.flush()
    return code


def _described(error: OSError) -> str:
    if error.filename is None:
        return f"{_OUTPUT}: {error.strerror or error}; is the disk full?"
    if isinstance(error, FileExistsError):
        return f"{error.filename}: it is a file, and a folder is needed here; name another path"
    if isinstance(error, NotADirectoryError):
        return f"{error.filename}: a part of this path is a file, and not a folder; name another path"
    return f"{error.filename}: {error.strerror}; does it exist, and do you have the permission?"


def _failed(problem: str) -> int:
    try:
        from gpuwise.cli.failure import complain  # noqa: PLC0415 - see above

        complain(problem)
    except (OSError, AttributeError, KeyboardInterrupt):  # stderr is closed, too
        pass
    return 1


def _abandon(stream: object) -> None:
    """Discard what could not be written: Python would try again at exit, and print a traceback."""
    try:
        if stream is not None:
            stream.flush()  # type: ignore[attr-defined]
    except (OSError, ValueError):
        os.dup2(os.open(os.devnull, os.O_WRONLY), stream.fileno())  # type: ignore[attr-defined]
