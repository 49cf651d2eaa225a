"""The service with its page, which stays."""

import threading
import time
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path

import click
import uvicorn

from gpuwise.cli.address import address
from gpuwise.cli.console import err, say, stopping
from gpuwise.cli.options import FILE, acting
from gpuwise.config import Config
from gpuwise.model.errors import GpuwiseError, InputError
from gpuwise.model.report import WeeklyReport
from gpuwise.pipeline import Pipeline
from gpuwise.service.app import create_app
from gpuwise.service.auth import token_for
from gpuwise.service.metrics import FleetCollector
from gpuwise.wiring import changeable, loop, secret

_RETRY_S = 30.0


@click.command()
@acting
@click.option("--listen", help="Host and port; beyond loopback a token is demanded.  [default: 127.0.0.1:8080]")
@click.option("--token-file", type=FILE, help="File that holds the token that readers must bring.")
def serve(config: Config, listen: str | None, token_file: Path | None) -> None:
    """Serve the page, the API and gpuwise's own metrics, and run the loop every service.interval_s as policy allows."""
    host, port = address(listen or config.service.listen)
    token = token_for(host, secret(token_file or config.service.token_file, "service.token_file"))
    latest = Latest()
    stop = threading.Event()
    with loop(config, writing=changeable(config)) as pipeline:
        thread = threading.Thread(target=latest.follow, args=(pipeline, config.service.interval_s, stop), daemon=True)
        thread.start()
        try:
            listen_on(host, port, latest.get, token)
        finally:
            stop.set()
            thread.join()


class Latest:
    """The newest report, replaced as a whole; readers see the old one or the new one."""

    def __init__(self, report: WeeklyReport | None = None) -> None:
        self._report = report

    def get(self) -> WeeklyReport | None:
        """The report, None before the first run has ended."""
        return self._report

    def follow(self, pipeline: Pipeline, interval_s: int, stop: threading.Event) -> None:
        """Run the loop until stopped; a failed run keeps the last report, whose age is exported, and is tried again."""
        while not stop.is_set():
            now_s = int(time.time())
            try:
                self._report = pipeline.summary(pipeline.run_once(now_s).survey, now_s=now_s)
                pause_s = float(interval_s)
            except GpuwiseError as error:
                say(f"run failed: {error}", to=err)
                pause_s = min(_RETRY_S, interval_s)
            stop.wait(pause_s)


def listen_on(host: str, port: int, latest: Callable[[], WeeklyReport | None], token: str | None) -> None:
    """Serve until SIGTERM or SIGINT, then let requests end.

    Raises:
        InputError: the address cannot be listened on.
    """
    app = create_app(latest, token=token, collectors=[FleetCollector(latest)])
    server = uvicorn.Server(uvicorn.Config(app, host=host, port=port, log_level="error", access_log=False))
    stop = stopping()

    def run() -> None:
        # On its own thread uvicorn leaves the signals alone; on the main one it would end the process mid-effect.
        with suppress(SystemExit):  # how it says that it cannot bind
            server.run()
        stop.set()

    thread = threading.Thread(target=run, name="http")
    thread.start()
    say(f"http://{f'[{host}]' if ':' in host else host or '*'}:{port}/", to=err)
    stop.wait()
    server.should_exit = True
    thread.join()
    if not server.started:
        raise InputError(f"cannot listen on {host}:{port}", mend="is another process there? give another --listen")
