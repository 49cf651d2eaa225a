"""`gpuwise serve`: the page, the JSON API, metrics, and the loop in the background."""

import threading
from contextlib import suppress
from functools import partial
from pathlib import Path

import click
import uvicorn
from fastapi import FastAPI

from gpuwise.cli.address import address
from gpuwise.cli.console import err, say
from gpuwise.cli.cost import allocated, document, keys_of
from gpuwise.cli.help import command
from gpuwise.cli.options import acting
from gpuwise.cli.passes import RETRY_S, followed, passed
from gpuwise.cli.paths import FILE
from gpuwise.cli.stopping import stopping
from gpuwise.config import Config
from gpuwise.finops.allocation import Spread
from gpuwise.lead.leader import Leader
from gpuwise.model.command import Trigger
from gpuwise.model.errors import InputError
from gpuwise.model.report import WeeklyReport
from gpuwise.pipeline import Pipeline
from gpuwise.service.app import create_app
from gpuwise.service.auth import token_for
from gpuwise.service.leading import LeaderCollector
from gpuwise.service.loop import PASS, LoopWatch
from gpuwise.service.metrics import FleetCollector
from gpuwise.service.pass_requests import PassRequests
from gpuwise.weekly import summary
from gpuwise.wiring import changeable, loop, now, secret

MOST_TRIGGERS = 100
"""Triggers that the API returns; the ledger has all of them."""


@command()
@acting
@click.option("--listen", help="Host and port; an address beyond loopback needs a token.  [default: 127.0.0.1:8080]")
@click.option("--token-file", type=FILE, help="File with the token that readers must send.")
def serve(config: Config, listen: str | None, token_file: Path | None) -> None:
    """Serve the page, the JSON API and gpuwise's own metrics, and run the loop as policy allows."""
    host, port = address(listen or config.service.listen)
    token = token_for(host, secret(token_file or config.service.token_file, "service.token_file"))
    watch = LoopWatch(config.service.stall_s)
    requests = PassRequests(config.service.alert_interval_s)
    latest = Latest(watch, requests)
    stop = threading.Event()
    opened = loop(config, watch.progress, writing=changeable(config), watch=watch.step, took_over=requests.take_over)
    with opened as pipeline:
        thread = threading.Thread(target=latest.follow, args=(pipeline, config.service.interval_s, stop), name="loop")
        thread.start()
        try:
            state = (LeaderCollector(pipeline.leadership.standing),) if isinstance(pipeline.leadership, Leader) else ()
            app = create_app(
                latest.get,
                token=token,
                collectors=[FleetCollector(latest.get), watch, requests, *state],
                trouble=lambda: watch.trouble,
                triggered=latest.triggers,
                requests=requests,
                cost=partial(cost_document, config),
            )
            listen_on(host, port, app)
        finally:
            stop.set()
            requests.wake()
            thread.join()


class Latest:
    """The newest report. Replaced as a whole: readers see the old one or the new one.

    Args:
        watch: records each pass.
        requests: alerts that ask for a pass.
    """

    def __init__(self, watch: LoopWatch, requests: PassRequests) -> None:
        self._report: WeeklyReport | None = None
        self._triggers: tuple[Trigger, ...] = ()
        self._watch = watch
        self._requests = requests

    def get(self) -> WeeklyReport | None:
        """Return the report, None before the first pass has ended."""
        return self._report

    def triggers(self) -> tuple[Trigger, ...]:
        """Return the newest triggers, oldest first."""
        return self._triggers

    def follow(self, pipeline: Pipeline, interval_s: int, stop: threading.Event) -> None:
        """Run the loop until stopped; a failed pass keeps the last report, whose age is exported."""
        try:
            self._triggers = tuple(pipeline.ledger.triggers()[-MOST_TRIGGERS:])
            while not stop.is_set():
                pause_s = float(interval_s) if passed(lambda: self._pass(pipeline)) else min(RETRY_S, interval_s)
                self._watch.beat("wait", within_s=pause_s)
                followed(pipeline, pause_s, stop, wait=lambda part_s: self._requests.wait(part_s, stop))
        finally:
            self._watch.end("it was stopped" if stop.is_set() else "its thread died")

    def _pass(self, pipeline: Pipeline) -> None:
        at_s, asked = now(), self._requests.take()
        with self._watch.step(PASS):
            if asked is not None:
                self._record(pipeline, Trigger(at_s, asked.alerts, asked.unlisted))
            survey = pipeline.run_once(at_s).survey
            with self._watch.step("report"):
                self._report = summary(pipeline, survey, now_s=at_s)

    def _record(self, pipeline: Pipeline, trigger: Trigger) -> None:
        """Write to the ledger which alerts asked for the pass, before it begins; only the leader writes."""
        if isinstance(pipeline.leadership, Leader) and pipeline.leadership.term() is None:
            return
        pipeline.ledger.record_trigger(trigger)
        self._triggers = (*self._triggers, trigger)[-MOST_TRIGGERS:]
        names = ", ".join(sorted({repr(alert.name) for alert in trigger.alerts}))
        say(f"alerts asked for this pass: {names}", to=err)


def cost_document(config: Config, by: str, window: str, spread: str) -> str:
    """Return the cost of a window by some keys, as `gpuwise cost -o json` prints it.

    Args:
        config: names the ledger.
        by: keys, separated by commas.
        window: as `--window` takes it.
        spread: as `--spread` takes it.

    Raises:
        InputError: a key, the window or the spread is none, or no day of the window is in the cost history.
    """
    kinds = [one.value for one in Spread]
    if spread not in kinds:
        raise InputError(f"spread is {spread!r}", hint=f"use {', '.join(kinds)}")
    asked, found = allocated(config, keys_of(by), window, Spread(spread), now())
    return document(found, asked)


def listen_on(host: str, port: int, app: FastAPI) -> None:
    """Serve until SIGTERM or SIGINT, then finish open requests.

    Args:
        host: name or address to bind.
        port: port to bind.
        app: the service.

    Raises:
        InputError: the address cannot be bound.
    """
    server = uvicorn.Server(uvicorn.Config(app, host=host, port=port, log_level="error", access_log=False))
    stop = stopping()

    def run() -> None:
        # On its own thread uvicorn handles no signals; on the main thread it would end the process during an effect.
        with suppress(SystemExit):  # uvicorn exits so if it cannot bind
            server.run()
        stop.set()

    thread = threading.Thread(target=run, name="http")
    thread.start()
    shown = f"[{host}]" if ":" in host else host or "*"
    say(f"http://{shown}:{port}/", to=err)
    stop.wait()
    server.should_exit = True
    thread.join()
    if not server.started:
        raise InputError(f"cannot listen on {shown}:{port}", hint="stop what listens there, or give another --listen")
