"""The executor on Ray: a local Ray that it starts, or a cluster that it joins, by a child process."""

import os
import pickle
import secrets
import socket
import subprocess
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Callable, Iterable, Iterator
from multiprocessing import Pipe
from pathlib import Path
from types import TracebackType
from typing import Any, Self, TypeVar

from gpuwise.model.errors import SourceError
from gpuwise.schedule.limits import Limits
from gpuwise.schedule.messages import Begin, Failed, Item, Join, Ready, Result
from gpuwise.schedule.work import Same, facts_of

Of = TypeVar("Of")
To = TypeVar("To")

_REACH_S = 5.0
_JOIN_S = 120.0
"""Two busy cores can take a minute to start a local Ray."""
_STOP_S = 10.0
_SLOW = "raise schedule.timeout_s, or check the nodes of the cluster"
# What the joined process inherits. Anything else may be a credential: it goes to no process of Ray.
_INHERITED = (
    "PATH", "HOME", "USER", "LOGNAME", "LANG", "LANGUAGE", "TZ", "TMPDIR", "VIRTUAL_ENV", "LD_LIBRARY_PATH",
    "SSL_CERT_FILE", "SSL_CERT_DIR", "OPENBLAS_NUM_THREADS", "OMP_NUM_THREADS",
)  # fmt: skip
_INHERITED_PREFIXES = ("RAY_", "LC_", "PYTHON")


class RayExecutor:
    """The `Executor` port on Ray.

    Args:
        address: of a cluster ("ray://host:10001" or "host:6379"), None for a local Ray.
        workers: CPUs of the local Ray, None for all CPUs.
        limits: deadlines and tries.
        notify: called with each warning, such as a node that is refused.

    Raises:
        SourceError: the cluster cannot be joined.
    """

    def __init__(
        self,
        address: str | None = None,
        workers: int | None = None,
        *,
        limits: Limits | None = None,
        notify: Callable[[str], None] = lambda _: None,
    ) -> None:
        self._shown = address or "local"
        self._run = 0
        self._limits = limits or Limits()
        self._notify = notify
        self.ran_on: Counter[tuple[str, str]] = Counter()
        """How many items ran on each node, by its name and its version of gpuwise."""
        if address is not None:
            _reach(address)
        self._folder = tempfile.TemporaryDirectory(prefix="gpuwise-ray-")
        self._log = Path(self._folder.name) / "log"
        self._pipe, theirs = Pipe()
        with theirs, self._log.open("wb") as log:
            self._process = subprocess.Popen(  # noqa: S603 - no input of a user
                [sys.executable, "-m", "gpuwise.schedule.driver", str(theirs.fileno())],
                pass_fds=[theirs.fileno()],
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                env=self._environment(address),
                start_new_session=True,  # Ctrl-C is for this process, which then ends that one
            )
        try:
            self._send(Join(address, workers))
            hint = f"check that {self._shown} is Ray's head or its client port, and see docs/ray.md for the token"
            self._receive(time.monotonic() + _JOIN_S, f"joining Ray at {self._shown}", hint=hint)
        except BaseException:
            self.close()
            raise

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self.close()

    def close(self) -> None:
        """Leave Ray, and stop a local one."""
        self._pipe.close()
        try:
            self._process.wait(_STOP_S)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()
        self._folder.cleanup()

    def map(self, function: Callable[[Of], To], items: Iterable[Of], *, same: Same | None = None) -> Iterator[To]:
        """See the port."""
        until_s = time.monotonic() + self._limits.total_s
        what = f"working on Ray at {self._shown}"
        self._run += 1
        run = self._run
        self._send(Begin(function, facts_of(same), same, self._limits, run))
        ready = self._receive(until_s, what)
        assert isinstance(ready, Ready)
        for one in ready.refused:
            self._notify(f"Ray: {one}; it gets no work")
        left, sent, results, due = enumerate(items), 0, dict[int, Any](), 0
        ended = False
        while not ended or due < sent:
            while not ended and sent - due < ready.at_once:
                number, item = next(left, (None, None))
                if number is None:
                    self._send(Item(run, None))
                    ended = True
                else:
                    self._send(Item(run, number, pickle.dumps(item)))
                    sent += 1
            if due < sent and due not in results:
                result = self._receive(until_s, what)
                assert isinstance(result, Result)
                self.ran_on[result.node, result.version] += 1
                results[result.number] = result.value
            while due in results:
                yield results.pop(due)
                due += 1

    def _environment(self, address: str | None) -> dict[str, str]:
        found = {
            name: value
            for name, value in os.environ.items()
            if name in _INHERITED or name.startswith(_INHERITED_PREFIXES)
        }
        found["PYTHONPATH"] = os.pathsep.join(filter(None, sys.path))
        if address is None and "RAY_AUTH_MODE" not in found:
            # Without a token, anyone who can connect runs code as this user (CVE-2023-48022); Ray's default is none.
            token = Path(self._folder.name) / "token"
            token.touch(mode=0o600)
            token.write_text(secrets.token_hex(32))
            found |= {"RAY_AUTH_MODE": "token", "RAY_AUTH_TOKEN_PATH": str(token)}
        return found

    def _send(self, message: Any) -> None:
        try:
            self._pipe.send(message)
        except OSError as error:
            raise self._lost() from error

    def _receive(self, until_s: float, what: str, *, hint: str = _SLOW) -> Ready | Result:
        try:
            if not self._pipe.poll(max(0.0, until_s - time.monotonic())):
                self._process.kill()
                raise SourceError(f"{what} took longer than allowed", hint=hint)
            message: Ready | Result | Failed = self._pipe.recv()
        except (OSError, EOFError) as error:
            raise self._lost() from error
        if message.run != self._run:  # a result of earlier work, of which nobody wanted the rest
            return self._receive(until_s, what, hint=hint)
        if isinstance(message, Failed):
            raise message.error
        return message

    def _lost(self) -> SourceError:
        self._process.wait()
        lines = [line for line in self._log.read_text(errors="replace").splitlines() if line.strip()]
        last = f": {lines[-1].strip()[:200]}" if lines else ""
        return SourceError(
            f"the connection to Ray at {self._shown} was lost{last}",
            hint="check that the head of the cluster runs; run again, or use --executor local",
        )


def _reach(address: str) -> None:
    """Fail at once if nothing listens at the address: Ray itself retries for minutes."""
    host, _, port = address.removeprefix("ray://").rpartition(":")
    if not host or not port.isdecimal() or not 0 < int(port) < 65_536:
        problem = f"--ray-address {address} has no host and port"
        raise SourceError(problem, hint="give it as HOST:PORT or ray://HOST:PORT")
    try:
        socket.create_connection((host.strip("[]"), int(port)), timeout=_REACH_S).close()
    except OSError as error:
        raise SourceError(f"cannot join Ray at {address}: {error}", hint="check --ray-address") from error
