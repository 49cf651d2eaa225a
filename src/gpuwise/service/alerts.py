"""Alertmanager's webhook: a firing alert asks for a pass of the loop. It never says what to do; policy decides.

The payload is that of Alertmanager's webhook_config, version 4
(https://prometheus.io/docs/alerting/latest/configuration/#webhook_config). Unknown fields are ignored.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Annotated, Any, Literal

from fastapi import FastAPI, Request, Response
from fastapi.responses import JSONResponse
from pydantic import Field, TypeAdapter, ValidationError

from gpuwise.model.codec import to_json
from gpuwise.model.command import Alert, Trigger
from gpuwise.service.pass_requests import PassRequests

MOST_BYTES = 1 << 20
"""Largest accepted body, bytes: some hundred alerts with long annotations."""
PATH = "/api/v1/alerts"
_LONGEST, _MOST_LABELS = 256, 32
_Text = Annotated[str, Field(max_length=_LONGEST)]


@dataclass(frozen=True, slots=True)
class _Alert:
    status: Literal["firing", "resolved"]
    labels: dict[str, str]
    fingerprint: _Text
    starts_at: Annotated[_Text, Field(alias="startsAt")]


@dataclass(frozen=True, slots=True)
class _Notification:
    version: Literal["4"]
    alerts: list[_Alert]


_NOTIFICATION = TypeAdapter(_Notification)


class Rejected(Exception):
    """A notification that is not accepted.

    Args:
        status: the HTTP status.
        problem: what is wrong.
        hint: what the sender can do about it.
    """

    def __init__(self, status: int, problem: str, hint: str) -> None:
        super().__init__(problem)
        self.response = JSONResponse({"problem": problem, "hint": hint}, status_code=status)


def receive_alerts(app: FastAPI, requests: PassRequests, triggered: Callable[[], Sequence[Trigger]]) -> None:
    """Add the endpoint for alerts.

    Args:
        app: the service.
        requests: where alerts ask for a pass.
        triggered: returns the passes that alerts asked for, oldest first.
    """

    @app.get(PATH)
    def passes() -> Response:
        """The newest passes that alerts asked for, with these alerts, the newest first."""
        return Response(to_json(tuple(reversed(triggered()))), media_type="application/json")

    @app.post(PATH, status_code=202)
    async def notify(request: Request) -> Response:
        """Receive Alertmanager's webhook: firing alerts ask for a pass of the loop, which decides by policy."""
        try:
            alerts = firing(await _body(request))
        except Rejected as error:
            requests.count("rejected")
            return error.response
        return JSONResponse(_answer(alerts, requests), status_code=202)


def firing(body: bytes) -> list[Alert]:
    """Return the firing alerts of a notification.

    Args:
        body: the JSON that Alertmanager sends.

    Raises:
        Rejected: it is not a notification of Alertmanager.
    """
    try:
        notification = _NOTIFICATION.validate_json(body)
    except ValidationError as error:
        first = error.errors(include_url=False, include_input=False)[0]
        field = ".".join(map(str, first["loc"])) or "the body"
        raise Rejected(
            422,
            f"{field}: {first['msg']}",
            "send the payload of Alertmanager's webhook_config, version 4, unchanged",
        ) from error
    return [_alert(one) for one in notification.alerts if one.status == "firing"]


def _alert(one: _Alert) -> Alert:
    """Convert an alert; what is too long for the ledger is cut."""
    labels = {name[:_LONGEST]: value[:_LONGEST] for name, value in list(one.labels.items())[:_MOST_LABELS]}
    return Alert(one.labels.get("alertname", "")[:_LONGEST], one.fingerprint, labels, one.starts_at)


async def _body(request: Request) -> bytes:
    """Read the body, but never more than `MOST_BYTES`.

    Raises:
        Rejected: it is larger, or not JSON. A browser sends JSON to another site only after that site has agreed.
    """
    if request.headers.get("Content-Type", "").partition(";")[0].strip().lower() != "application/json":
        raise Rejected(415, "the body is not application/json", "let Alertmanager's webhook_config send it")
    body = bytearray()
    async for part in request.stream():
        body += part
        if len(body) > MOST_BYTES:
            hint = "set max_alerts in Alertmanager's webhook_config, for example to 100"
            raise Rejected(413, f"the body is larger than {MOST_BYTES:,} bytes", hint)
    return bytes(body)


def _answer(alerts: Sequence[Alert], requests: PassRequests) -> dict[str, Any]:
    """Ask for a pass, and say what will happen."""
    if not alerts:
        requests.count("resolved")
        return {"firing": 0, "pass_in_s": None, "detail": "no alert is firing: nothing will happen"}
    due_s = requests.ask(alerts)
    when = "now" if due_s <= 0 else f"in {due_s:.0f} s"
    detail = f"a pass of the loop will run {when}, or after the one that is running; policy decides what it changes"
    return {"firing": len(alerts), "pass_in_s": round(due_s, 1), "detail": detail}
