"""Alertmanager's webhook over real HTTP: what it accepts, what it answers, and that it only asks for a pass."""

import json
from contextlib import contextmanager

import httpx
import pytest
from tests.service.test_app import served

from gpuwise.model.command import Alert, Trigger
from gpuwise.service.alerts import MOST_BYTES
from gpuwise.service.pass_requests import PassRequests

PATH = "/api/v1/alerts"
TOKEN = "a-long-token"


def one_alert(**changes):
    """An alert as Alertmanager 0.25 sends it."""
    return {
        "status": "firing",
        "labels": {"alertname": "GpuwiseGpuLost", "severity": "critical", "node": "a", "gpu": "1"},
        "annotations": {"summary": "A GPU is lost."},
        "startsAt": "2026-06-01T10:00:00.000Z",
        "endsAt": "0001-01-01T00:00:00Z",
        "generatorURL": "http://prometheus:9090/graph",
        "fingerprint": "c6b4d5a1b2e3f405",
    } | changes


def notification(*alerts, **changes):
    return {
        "version": "4",
        "groupKey": '{}:{alertname="GpuwiseGpuLost"}',
        "truncatedAlerts": 0,
        "status": "firing",
        "receiver": "gpuwise",
        "groupLabels": {"alertname": "GpuwiseGpuLost"},
        "commonLabels": {},
        "commonAnnotations": {},
        "externalURL": "http://alertmanager:9093",
        "alerts": list(alerts),
    } | changes


@contextmanager
def receiver(*, token=None, triggered=tuple):
    requests = PassRequests(300)
    with (
        served(lambda: None, token=token, triggered=triggered, requests=requests) as address,
        httpx.Client(base_url=address) as client,
    ):
        yield client, requests


def test_a_firing_alert_asks_for_a_pass_and_is_told_what_will_happen():
    with receiver() as (client, requests):
        answer = client.post(PATH, json=notification(one_alert()))
    assert answer.status_code == 202
    said = answer.json()
    assert (said["firing"], said["pass_in_s"]) == (1, 0)
    assert "policy decides" in said["detail"]
    asked = requests.take()
    assert asked is not None
    (alert,) = asked.alerts
    assert (alert.name, alert.fingerprint, alert.labels["gpu"]) == ("GpuwiseGpuLost", "c6b4d5a1b2e3f405", "1")
    assert alert.starts_at == "2026-06-01T10:00:00.000Z"


def test_a_second_alert_waits_for_the_least_time():
    with receiver() as (client, requests):
        requests.take()
        said = client.post(PATH, json=notification(one_alert())).json()
    assert 290 < said["pass_in_s"] <= 300
    assert "in 300 s" in said["detail"] or "in 299 s" in said["detail"]


def test_resolved_alerts_ask_for_nothing():
    with receiver() as (client, requests):
        answer = client.post(PATH, json=notification(one_alert(status="resolved"), status="resolved"))
        empty = client.post(PATH, json=notification())
    assert (answer.status_code, answer.json()["pass_in_s"]) == (202, None)
    assert "nothing will happen" in answer.json()["detail"]
    assert empty.status_code == 202
    assert requests.take() is None


def test_fields_that_a_later_alertmanager_adds_are_ignored():
    with receiver() as (client, requests):
        answer = client.post(PATH, json=notification(one_alert(severity=[1]), routeID="x"))
    assert answer.status_code == 202
    assert requests.take() is not None


@pytest.mark.parametrize(
    ("body", "field"),
    [
        (b"", "the body"),
        (b"{", "the body"),
        (b"[" * 100_000, "the body"),
        (b'"text"', "the body"),
        (json.dumps(notification(version="1")).encode(), "version"),
        (json.dumps({"version": "4"}).encode(), "alerts"),
        (json.dumps(notification(one_alert(labels=["a"]))).encode(), "alerts.0.labels"),
        (json.dumps(notification(one_alert(labels={"a": 1}))).encode(), "alerts.0.labels.a"),
        (json.dumps(notification(one_alert(status="burning"))).encode(), "alerts.0.status"),
        (json.dumps(notification(one_alert(fingerprint="f" * 257))).encode(), "alerts.0.fingerprint"),
        (json.dumps(notification(one_alert(), "x")).encode(), "alerts.1"),
    ],
)
def test_another_payload_is_rejected_with_the_field_and_a_hint(body, field):
    with receiver() as (client, requests):
        answer = client.post(PATH, content=body, headers={"Content-Type": "application/json"})
    assert answer.status_code == 422
    assert answer.json()["problem"].startswith(f"{field}: ")
    assert "version 4" in answer.json()["hint"]
    assert requests.take() is None


def test_a_large_body_is_rejected_before_it_is_read_completely():
    sent = []

    def endless():
        for number in range(1_000):
            sent.append(number)
            yield b" " * 65_536

    with receiver() as (client, requests):
        headers = {"Content-Type": "application/json", "Connection": "close"}
        try:
            answer = client.post(PATH, content=endless(), headers=headers)
        except httpx.TransportError:  # the server closed the connection while we were still sending
            answer = None
        whole = client.post(PATH, content=b" " * (MOST_BYTES + 1), headers=headers)
    assert answer is None or answer.status_code == 413
    assert len(sent) * 65_536 < 16 * MOST_BYTES  # the rest is in buffers of the sockets
    assert whole.status_code == 413
    assert "max_alerts" in whole.json()["hint"]
    assert requests.take() is None


def test_a_form_is_rejected_so_that_no_page_of_another_site_can_send_one():
    with receiver() as (client, requests):
        answers = [
            client.post(PATH, content=json.dumps(notification(one_alert())), headers={"Content-Type": kind})
            for kind in ("text/plain", "application/x-www-form-urlencoded", "")
        ]
    assert [answer.status_code for answer in answers] == [415, 415, 415]
    assert requests.take() is None


def test_the_token_is_required():
    with receiver(token=TOKEN) as (client, requests):
        body = notification(one_alert())
        without = client.post(PATH, json=body)
        wrong = client.post(PATH, json=body, headers={"Authorization": "Bearer another"})
        assert (without.status_code, wrong.status_code) == (401, 401)
        assert without.json()["hint"]
        assert requests.take() is None
        assert client.post(PATH, json=body, headers={"Authorization": f"Bearer {TOKEN}"}).status_code == 202


def test_labels_are_cut_to_what_the_ledger_keeps():
    labels = {"alertname": "A" * 999} | {f"l{number}": "v" * 999 for number in range(99)}
    with receiver() as (client, requests):
        assert client.post(PATH, json=notification(one_alert(labels=labels))).status_code == 202
    asked = requests.take()
    assert asked is not None
    assert (len(asked.alerts[0].name), len(asked.alerts[0].labels)) == (256, 32)
    assert {len(value) for value in asked.alerts[0].labels.values()} == {256}


def test_the_passes_that_alerts_asked_for_are_listed_newest_first():
    triggers = tuple(Trigger(at_s, (Alert("A", "f", {}, ""),)) for at_s in (1, 2))
    with receiver(triggered=lambda: triggers) as (client, _):
        assert [one["at_s"] for one in client.get(PATH).json()] == [2, 1]


def test_without_a_loop_there_is_nobody_to_ask():
    with served(lambda: None) as address:
        assert httpx.post(f"{address}{PATH}", json=notification(one_alert())).status_code == 404
