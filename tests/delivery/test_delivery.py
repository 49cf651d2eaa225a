"""A report reaches each recipient at most once: over a real SMTP server, a real HTTP server and a real ledger."""

import dataclasses
import email
import email.policy
import json
import socket
import ssl
import threading
from contextlib import closing
from pathlib import Path
from types import SimpleNamespace

import pytest
import trustme
from tests.mail_server import DROP, mail_server
from tests.report.conftest import sample_report
from tests.webhook_server import DROP as DROP_REQUEST
from tests.webhook_server import PATH, webhook_server

from gpuwise.delivery.deliver import FIRST_WAIT_S, LONGEST_WAIT_S, TRIES, Result, deliver, failure, wanted
from gpuwise.delivery.senders import Senders
from gpuwise.delivery.settings import EmailSettings, ReportSettings, SlackSettings, TeamSettings
from gpuwise.memory.ledger import SqliteLedger
from gpuwise.memory.ledger_audit import entries
from gpuwise.memory.ledger_database import sqlite
from gpuwise.model.delivery import Delivery, DeliveryStatus
from gpuwise.model.errors import InputError
from gpuwise.report import subject

NOW_S = 1_795_500_000
ANA, BEN = "ana@example.com", "ben@example.com"


@pytest.fixture
def mail():
    with mail_server() as server:
        yield server


@pytest.fixture
def hook():
    with webhook_server() as server:
        yield server


@pytest.fixture
def ledger(tmp_path):
    with SqliteLedger(tmp_path / "ledger.db") as opened:
        opened.belongs_to("uid-1")
        yield opened


def settings(mail=None, hook=None, **more):
    email_settings = EmailSettings()
    if mail is not None:
        given = {"tls": "none", "recipients": (ANA,), "sender": "gpuwise@example.com"} | more
        email_settings = EmailSettings("127.0.0.1", mail.port, **given)
    slack = SlackSettings(None if hook is None else Path("webhook"))
    return ReportSettings(timeout_s=5.0, email=email_settings, slack=slack)


def channels(mail=None, hook=None, report=None, password=None, **more):
    senders = Senders.of(settings(mail, hook, **more), password=password, webhook=hook and hook.url)
    return senders.channels(report or sample_report(), "demo")


class Run:
    """One run of `gpuwise report --send`: its results, and how long it waited."""

    def __init__(self, ledger, channels, *, again=False, week="2026-W47", scope=""):
        self.waits = []
        todo = wanted(channels, week=week, scope=scope, at_s=NOW_S)
        self.results = deliver(todo, ledger, again=again, clock=lambda: NOW_S + 5, wait=self.waits.append)
        self.failure = failure(self.results)
        self.statuses = [one.delivery.status for one in self.results]


def test_everybody_gets_the_report(mail, hook, ledger):
    report = sample_report()
    done = Run(ledger, channels(mail, hook, report, recipients=(ANA, BEN)))
    assert done.failure is None
    assert done.statuses == [DeliveryStatus.SENT] * 3
    assert [one.recipient for one in mail.accepted] == [ANA, BEN]
    found = email.message_from_bytes(mail.accepted[0].content, policy=email.policy.default)
    assert found["Subject"] == f"{subject(report)} (demo)"
    assert found["To"] == ANA
    assert subject(report) in found.get_body(("html",)).get_content()
    (message,) = hook.posted
    assert message["blocks"][0]["text"]["text"] == subject(report)


def test_nobody_gets_a_week_twice(mail, hook, ledger):
    for _ in range(3):
        done = Run(ledger, channels(mail, hook, recipients=(ANA, BEN, ANA)))
        assert done.failure is None
    assert len(mail.accepted) == 2
    assert hook.requests == 1
    assert str(done.results[0]) == (
        f"email {ANA}: 2026-W47 was sent before; `gpuwise report --send --again` sends it again"
    )


def test_the_report_of_a_team_that_fails_is_named_with_the_command_that_sends_it_again(mail, ledger):
    mail.answer("RCPT", "550 unknown user", "550 unknown user")
    one = Run(ledger, channels(mail), scope="team R&D")
    assert str(one.results[0]).startswith(f"email {ANA} (team R&D): not sent: ")
    assert f"email {ANA} (team R&D): " in one.failure.problem
    assert one.failure.hint == "run `gpuwise report --team 'R&D' --send` again"
    two = Run(ledger, channels(mail), scope="team ml")
    assert failure([*one.results, *two.results]).hint == "run `gpuwise report --each-team --send` again"


def test_a_report_of_a_team_that_may_have_been_sent_has_a_command_of_its_own():
    def lost(scope):
        return Result(Delivery("2026-W47", scope, "email", ANA, DeliveryStatus.UNKNOWN, NOW_S, "no answer"))

    again = "`gpuwise report --team ml --send --again`"
    assert str(lost("team ml")).endswith(f"may have been sent: no answer; {again} sends it again")
    assert failure([lost("team ml")]).hint == f"ask the recipient, and run {again} if it did not arrive"
    assert "the command with --again in the line of each" in failure([lost("team ml"), lost("")]).hint
    several = str(dataclasses.replace(lost("clusters east, west"), earlier=True))
    assert "`gpuwise report --combine FILE --combine FILE --send --again`" in several


def test_another_week_another_scope_and_another_recipient_are_sent(mail, ledger):
    Run(ledger, channels(mail))
    Run(ledger, channels(mail), week="2026-W48")
    Run(ledger, channels(mail), scope="namespace sandbox")
    Run(ledger, channels(mail, recipients=(ANA, BEN)))
    assert [one.recipient for one in mail.accepted] == [ANA, ANA, ANA, BEN]


def test_another_cluster_in_the_same_ledger_sends_its_own_report(mail, ledger):
    Run(ledger, channels(mail))
    ledger.belongs_to("uid-2")
    Run(ledger, channels(mail))
    assert len(mail.accepted) == 2


def test_again_sends_again(mail, hook, ledger):
    Run(ledger, channels(mail, hook))
    done = Run(ledger, channels(mail, hook), again=True)
    assert done.statuses == [DeliveryStatus.SENT] * 2
    assert len(mail.accepted) == hook.requests == 2


@pytest.mark.parametrize("verb", ["CONNECT", "MAIL", "RCPT", "DATA", "BODY"])
def test_a_mail_server_that_is_busy_is_tried_again(mail, ledger, verb):
    mail.answer(verb, "451 try later", "421 shutting down")
    done = Run(ledger, channels(mail))
    assert done.failure is None
    assert done.waits == [FIRST_WAIT_S, 4 * FIRST_WAIT_S]
    assert len(mail.accepted) == 1
    assert str(done.results[0]) == f"email {ANA}: sent"
    assert done.results[0].delivery.detail == "at try 3"


@pytest.mark.parametrize("verb", ["CONNECT", "EHLO", "MAIL", "RCPT", "DATA"])
def test_a_connection_that_is_lost_before_the_message_is_tried_again(mail, ledger, verb):
    mail.answer(verb, DROP)
    if verb == "EHLO":
        mail.answer("HELO", DROP)
    done = Run(ledger, channels(mail))
    assert done.failure is None
    assert len(mail.accepted) == 1


@pytest.mark.parametrize("verb", ["CONNECT", "MAIL", "RCPT", "DATA", "BODY"])
def test_a_refusal_is_not_tried_again_and_has_the_servers_words(mail, hook, ledger, verb):
    mail.answer(verb, "550 no such user\x1b[2J here")
    done = Run(ledger, channels(mail, hook))
    assert done.waits == []
    assert done.statuses == [DeliveryStatus.NOT_SENT, DeliveryStatus.SENT]
    assert mail.accepted == []
    assert "answered 550 no such user" in done.failure.problem
    assert done.failure.problem.isprintable()
    assert "1 of 2 deliveries failed (1 sent): email ana@example.com" in done.failure.problem


def test_one_refused_recipient_does_not_keep_the_report_from_the_others(mail, ledger):
    mail.answer("RCPT", "550 no such user")
    done = Run(ledger, channels(mail, recipients=(ANA, BEN)))
    assert done.statuses == [DeliveryStatus.NOT_SENT, DeliveryStatus.SENT]
    again = Run(ledger, channels(mail, recipients=(ANA, BEN)))
    assert again.failure is None
    assert [one.recipient for one in mail.accepted] == [BEN, ANA]


def test_the_tries_are_bounded_and_the_next_run_tries_again(mail, hook, ledger):
    mail.answer("MAIL", *["451 try later"] * TRIES)
    for _ in range(TRIES):
        hook.answer(503)
    done = Run(ledger, channels(mail, hook))
    assert done.statuses == [DeliveryStatus.NOT_SENT] * 2
    assert done.waits == [0.5, 2.0, 8.0] * 2
    assert f"after {TRIES} tries" in done.failure.problem
    assert done.failure.hint == "run `gpuwise report --send` again"
    assert Run(ledger, channels(mail, hook)).failure is None
    assert len(mail.accepted) == len(hook.posted) == 1


def test_a_server_that_is_not_there_is_tried_again(ledger):
    with mail_server() as mail, webhook_server() as hook:
        pass
    done = Run(ledger, channels(mail, hook))
    assert done.statuses == [DeliveryStatus.NOT_SENT] * 2
    assert len(done.waits) == 2 * (TRIES - 1)
    assert f"no connection to 127.0.0.1:{mail.port}: Connection refused" in done.failure.problem
    assert "Slack could not be reached: [Errno 111] Connection refused" in done.failure.problem


@pytest.mark.parametrize("arrived", [True, False])
def test_a_lost_answer_to_the_message_is_not_repeated(mail, hook, ledger, arrived):
    mail.keeps_dropped = arrived
    mail.answer("BODY", DROP)
    hook.answer(DROP_REQUEST)
    done = Run(ledger, channels(mail, hook))
    assert done.statuses == [DeliveryStatus.UNKNOWN] * 2
    assert done.waits == []
    assert done.failure.hint == "ask the recipient, and run `gpuwise report --send --again` if it did not arrive"
    assert "may have been sent" in str(done.results[0])
    later = Run(ledger, channels(mail, hook))
    assert "it is not known whether it was sent" in later.failure.problem
    assert hook.requests == 1
    assert len(mail.accepted) == arrived
    assert Run(ledger, channels(mail, hook), again=True).failure is None


def test_a_server_that_never_answers_is_given_up(ledger):
    """The kernel accepts the connection, and nobody reads it: SMTP begins with the server's greeting, HTTP does not."""
    with socket.create_server(("127.0.0.1", 0)) as silent:
        port = silent.getsockname()[1]
        server = dataclasses.replace(settings(SimpleNamespace(port=port)), timeout_s=0.2)
        slack = dataclasses.replace(server, slack=SlackSettings(Path("webhook")))
        url = f"http://127.0.0.1:{port}/services/secret"
        found = Senders.of(slack, password=None, webhook=url).channels(sample_report(), "demo")
        done = Run(ledger, found)
    assert done.statuses == [DeliveryStatus.NOT_SENT, DeliveryStatus.UNKNOWN]
    assert len(done.waits) == TRIES - 1
    assert "timed out" in done.failure.problem
    assert "secret" not in done.failure.problem


@pytest.mark.parametrize("status", [502, 504])
def test_a_gateway_in_place_of_slack_leaves_it_open_whether_it_was_posted(hook, ledger, status):
    hook.answer(status)
    assert Run(ledger, channels(hook=hook)).statuses == [DeliveryStatus.UNKNOWN]


@pytest.mark.parametrize("status", [408, 429, 500, 503])
def test_a_busy_slack_is_tried_again(hook, ledger, status):
    hook.answer(status)
    done = Run(ledger, channels(hook=hook))
    assert done.failure is None
    assert done.waits == [FIRST_WAIT_S]


def test_slack_says_how_long_to_wait(hook, ledger):
    hook.answer(429, Retry_After="30")
    done = Run(ledger, channels(hook=hook))
    assert done.waits == [30.0]
    assert done.failure is None
    hook.answer(429, Retry_After=str(int(LONGEST_WAIT_S) + 1))
    later = Run(ledger, channels(hook=hook), week="2026-W48")
    assert later.waits == []
    assert later.statuses == [DeliveryStatus.NOT_SENT]
    assert "asks to wait 61 s" in later.failure.problem
    hook.answer(429, Retry_After="Fri, 31 Dec 1999 23:59:59 GMT")
    assert Run(ledger, channels(hook=hook), week="2026-W48").waits == [FIRST_WAIT_S]


@pytest.mark.parametrize(
    ("status", "text"), [(400, "invalid_payload"), (403, "action_prohibited"), (302, ""), (404, "x y")]
)
def test_a_refusal_of_slack_is_not_tried_again(mail, hook, ledger, status, text):
    hook.answer(status, text, Location="http://127.0.0.1:1/")
    done = Run(ledger, channels(mail, hook))
    assert done.statuses == [DeliveryStatus.SENT, DeliveryStatus.NOT_SENT]
    assert f"Slack answered {status}{f' {text}' if '_' in text else ''}" in done.failure.problem
    assert hook.requests == 1


def test_a_crash_between_sending_and_its_record_is_reported_and_not_repeated(mail, ledger, tmp_path):
    """The process ends after the server accepted the message: the intent is in the ledger, the outcome is not."""

    class Crash(BaseException):
        pass

    (channel,) = channels(mail)

    class Dying:
        name, recipients = channel.name, channel.recipients

        def send(self, recipient):
            channel.send(recipient)
            raise Crash

    with pytest.raises(Crash):
        Run(ledger, [Dying()])
    assert len(mail.accepted) == 1
    with SqliteLedger(tmp_path / "ledger.db") as reopened:
        reopened.belongs_to("uid-1")
        later = Run(reopened, channels(mail))
        assert later.failure.problem == (
            f"1 of 1 deliveries failed (0 sent): email {ANA}: it is not known whether it was sent"
        )
        assert "may have been sent before: an earlier run ended before its end was recorded" in str(later.results[0])
        assert len(mail.accepted) == 1
        assert Run(reopened, channels(mail), again=True).failure is None
    assert len(mail.accepted) == 2


def test_two_processes_at_once_send_it_once(mail, tmp_path):
    ready = threading.Barrier(4)
    results = []

    def send():
        with SqliteLedger(tmp_path / "ledger.db") as ledger:
            mine = channels(mail)
            ready.wait()
            results.extend(Run(ledger, mine).results)

    SqliteLedger(tmp_path / "ledger.db").close()
    threads = [threading.Thread(target=send) for _ in range(4)]
    for one in threads:
        one.start()
    for one in threads:
        one.join()
    assert len(mail.accepted) == 1
    assert sorted(one.earlier for one in results) == [False, True, True, True]


def test_the_ledger_shows_each_delivery_and_stays_intact(mail, hook, ledger, tmp_path):
    mail.answer("RCPT", "550 no such user")
    Run(ledger, channels(mail, hook), scope="namespace sandbox")
    ledger.verify(whole=True)
    digest = channels(hook=hook)[0].recipients[0]
    assert [(one.channel, one.recipient, one.status.value) for one in ledger.deliveries()] == [
        ("email", ANA, "begun"),
        ("email", ANA, "not-sent"),
        ("slack", digest, "begun"),
        ("slack", digest, "sent"),
    ]
    with closing(sqlite(tmp_path / "ledger.db")) as database, database.of_one_instant() as db:
        shown = list(entries(db))
    assert {one.kind for one in shown} == {"delivery"}
    assert shown[1].what == f"report of 2026-W47 of namespace sandbox to email {ANA}: not-sent"
    assert shown[1].detail.endswith("answered 550 no such user")
    assert shown[1].cluster == "uid-1"


def test_no_secret_is_in_the_ledger_or_in_a_message(hook, ledger, tmp_path):
    secret = PATH.rpartition("/")[2]
    for status in (404, 429, 502, 403):
        hook.answer(status, secret if status == 404 else "")
        done = Run(ledger, channels(hook=hook), again=True)
        assert secret not in f"{done.failure} {done.results}"
    assert secret.encode() not in (tmp_path / "ledger.db").read_bytes()
    assert secret not in repr(channels(hook=hook))


@pytest.fixture(scope="module")
def authority():
    return trustme.CA()


@pytest.fixture
def trusted(authority, tmp_path):
    path = tmp_path / "ca.pem"
    authority.cert_pem.write_to_path(path)
    return path


@pytest.fixture
def served(authority):
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    authority.issue_cert("127.0.0.1").configure_cert(context)
    return context


@pytest.mark.parametrize("mode", ["starttls", "implicit"])
def test_the_connection_is_encrypted_before_the_password_is_sent(served, trusted, ledger, mode):
    with mail_server(tls=served, implicit=mode == "implicit", users={"bot": "hunter2"}) as mail:
        more = {"tls": mode, "ca_file": trusted, "user": "bot"}
        assert Run(ledger, channels(mail, password="hunter2", **more)).failure is None
        (one,) = mail.accepted
        assert (one.encrypted, one.user) == (True, "bot")
        wrong = Run(ledger, channels(mail, password="other", **more), again=True)
    assert wrong.statuses == [DeliveryStatus.NOT_SENT]
    assert "answered 535 wrong password" in wrong.failure.problem
    assert "other" not in wrong.failure.problem


@pytest.mark.parametrize("mode", ["starttls", "implicit"])
def test_a_certificate_that_is_not_trusted_is_refused(served, ledger, mode):
    with mail_server(tls=served, implicit=mode == "implicit") as mail:
        done = Run(ledger, channels(mail, tls=mode))
    assert done.statuses == [DeliveryStatus.NOT_SENT]
    assert "is not trusted" in done.failure.problem
    assert mail.accepted == []


def test_a_server_without_starttls_gets_nothing(mail, ledger):
    done = Run(ledger, channels(mail, tls="starttls"))
    assert done.statuses == [DeliveryStatus.NOT_SENT]
    assert "does not offer" in done.failure.problem
    assert mail.accepted == []


@pytest.mark.parametrize(
    ("changed", "password", "problem"),
    [
        ({"sender": None}, None, "report.email.sender"),
        ({"recipients": ()}, None, "report.email.recipients is empty"),
        ({"recipients": ("ana@example.com\nBcc: x@example.com",)}, None, "report.email.recipients"),
        ({"sender": "gpuwise"}, None, "report.email.sender"),
        ({"user": "bot"}, None, "belong together"),
        ({}, "hunter2", "belong together"),
        ({"user": "bot", "tls": "none"}, "hunter2", "where others can read it"),
        ({"user": "bot", "tls": "starttls"}, "hünter", "cannot send"),
        ({"user": "bot", "tls": "starttls"}, "two\nlines", "cannot send"),
        ({"ca_file": Path("/does/not/exist")}, None, "cannot read certificates"),
    ],
)
def test_incomplete_settings_of_email_are_an_error_before_anything_is_sent(mail, changed, password, problem):
    with pytest.raises(InputError, match=problem) as raised:
        channels(mail, password=password, **changed)
    assert password is None or password not in str(raised.value)


@pytest.mark.parametrize(
    "text",
    ["", "hooks.slack.com/services/T/B/secret", "http://hooks.slack.com/services/T/B/secret", "ftp://x/secret",
     "https://x/secret\nhttps://y/secret", "https:///secret", "https://x:port/secret", "https://[/secret"],
)  # fmt: skip
def test_an_address_of_a_webhook_that_cannot_be_used_is_an_error_that_does_not_quote_it(text):
    given = ReportSettings(slack=SlackSettings(Path("webhook")))
    with pytest.raises(InputError, match=r"report\.slack\.webhook_url_file") as raised:
        Senders.of(given, password=None, webhook=text)
    assert "/secret" not in str(raised.value)


@pytest.mark.parametrize(
    ("given", "problem"),
    [(EmailSettings(), "no channel is configured"), (EmailSettings(recipients=(ANA,)), "report.email has no host")],
)
def test_sending_without_a_channel_is_an_error(given, problem):
    with pytest.raises(InputError, match=problem):
        Senders.of(ReportSettings(email=given), password=None, webhook=None)


def test_a_hostile_name_is_text_in_what_the_servers_get(mail, hook, ledger):
    name = "<!channel>\r\nBcc: everybody@evil.test\r\n.\r\nQUIT\r\n<b>=1+1"
    report = dataclasses.replace(sample_report(hostile=name), cluster=name)
    assert Run(ledger, channels(mail, hook, report)).failure is None
    (one,) = mail.accepted
    found = email.message_from_bytes(one.content, policy=email.policy.default)
    assert found["Bcc"] is None
    assert one.recipient == ANA
    assert len(list(found.walk())) == 5
    assert "<!channel>" not in json.dumps(hook.posted)
    assert "&lt;!channel&gt;" in json.dumps(hook.posted)


def test_a_delivery_has_one_key_for_each_week_channel_recipient_and_scope():
    one = Delivery("2026-W47", "", "email", ANA, DeliveryStatus.BEGUN, 0)
    others = [
        dataclasses.replace(one, week="2026-W48"),
        dataclasses.replace(one, scope="namespace sandbox"),
        dataclasses.replace(one, channel="slack"),
        dataclasses.replace(one, recipient=BEN),
    ]
    assert len({each.key for each in (one, *others)}) == 5
    assert dataclasses.replace(one, status=DeliveryStatus.SENT, at_s=5, detail="x").key == one.key


def reached(mail=None, hook=None, password=None, **more):
    senders = Senders.of(settings(mail, hook, **more), password=password, webhook=hook and hook.url)
    return {one.name: (one.status.value, one.text) for one in senders.reach()}


def test_the_channels_can_be_checked_without_sending(mail, hook):
    found = reached(mail, hook)
    assert [status for status, _ in found.values()] == ["ok", "ok"]
    assert found["report by e-mail"][1] == f"127.0.0.1:{mail.port} answers, TLS none; nothing was sent"
    assert (mail.sessions, mail.accepted, hook.requests, hook.posted) == (1, [], 0, [])
    assert PATH not in str(found)


def test_a_check_says_what_fails(mail, hook):
    with socket.socket() as closed:
        closed.bind(("127.0.0.1", 0))
        gone = SimpleNamespace(port=closed.getsockname()[1], url=f"http://127.0.0.1:{closed.getsockname()[1]}{PATH}")
        found = reached(gone, gone)
    for name, start, hint in (
        ("report by e-mail", "no connection to", "check report.email"),
        ("report to Slack", "Slack could not be reached", "report.slack.webhook_url_file"),
    ):
        status, text = found[name]
        assert status == "failed"
        assert text.startswith(start)
        assert hint in text
    assert PATH not in str(found)
    mail.answer("CONNECT", "554 no service")
    assert reached(mail)["report by e-mail"][0] == "failed"


@pytest.mark.parametrize(
    ("team", "webhook", "problem"),
    [
        (TeamSettings(), None, "report.teams.ml names nobody"),
        (TeamSettings(email=("not an address",)), None, "report.teams.ml.email"),
        (
            TeamSettings(slack_url_file=Path("url")),
            "http://hooks.slack.com/secret",
            r"report\.teams\.ml\.slack_url_file",
        ),
    ],
)
def test_a_team_that_cannot_be_sent_anything_is_an_error_that_names_its_key(mail, team, webhook, problem):
    given = dataclasses.replace(settings(mail), teams={"ml": team})
    with pytest.raises(InputError, match=problem) as raised:
        Senders.of(given, password=None, webhook=None, webhooks={"ml": webhook})
    assert "secret" not in str(raised.value)


def test_e_mail_of_a_team_needs_a_mail_server():
    given = ReportSettings(teams={"ml": TeamSettings(email=(ANA,))})
    with pytest.raises(InputError, match=r"report\.email has no host"):
        Senders.of(given, password=None, webhook=None)


def test_a_team_has_its_own_recipients_and_else_those_of_the_fleet(mail, hook, ledger):
    given = dataclasses.replace(settings(mail, hook), teams={"ml": TeamSettings(email=(BEN,))})
    senders = Senders.of(given, password=None, webhook=hook.url)
    for team, whom in (("ml", [BEN]), ("other", [ANA])):
        Run(ledger, senders.of_report(team).channels(sample_report(), "demo"), scope=f"team {team}")
        assert [one.recipient for one in mail.accepted[-1:]] == whom
    assert (len(mail.accepted), hook.requests) == (2, 1)  # the webhook is that of the fleet
