"""The command line: flags in, tables or JSON out; no thinking.

Data goes to stdout, progress and errors to stderr. Exit codes: 0 done, 1 an error in one line, 2 changes are present
(with --detailed-exitcode).
"""

from gpuwise.cli.main import main

__all__ = ["main"]
