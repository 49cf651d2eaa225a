"""The views that are sent: the number comes first, the receiver's limits hold, and no name is markup there."""

import dataclasses
import email
import email.policy

import pytest
from tests.report.conftest import MONDAY, sample_report

from gpuwise.model.errors import InputError
from gpuwise.model.report import Bill, BudgetStatus, CostAnomaly, TeamCost, WeekCost
from gpuwise.report import render_email, render_html, render_markdown, render_slack, subject, wording
from gpuwise.report.slack import LONGEST_HEADER, LONGEST_TEXT, MOST_BLOCKS, slack_message

HOSTILE = (
    '=HYPERLINK("http://evil")<!channel> <img src=x onerror=alert(1)> & *bold* `rm -rf`'
    "\r\nBcc: everybody@evil.test\r\n\r\n"
)
SENDER, RECIPIENT = "gpuwise@example.com", "finance@example.com"


def hostile(report=None):
    """A report in which every text that a user chooses is hostile."""
    report = report or sample_report(hostile=HOSTILE)
    teams = tuple(dataclasses.replace(one, team=HOSTILE) for one in report.teams)
    recommendations = tuple(dataclasses.replace(one, owner=HOSTILE) for one in report.recommendations)
    return dataclasses.replace(
        report, cluster=HOSTILE, selection=f"namespace {HOSTILE}", teams=teams, recommendations=recommendations
    )


def parsed(report, **addresses):
    written = render_email(report, **({"sender": SENDER, "recipient": RECIPIENT} | addresses)).as_bytes()
    return email.message_from_bytes(written, policy=email.policy.default)


def texts(blocks):
    for block in blocks:
        for one in (block.get("text"), *block.get("elements", ())):
            if one is not None:
                yield one


def test_the_subject_has_the_number(report):
    assert subject(report) == "GPU waste W47: $37,015 of $168,400 idle, $103,487/month can be saved"


@pytest.mark.parametrize(
    ("bill", "expected"),
    [
        (Bill(36e6, 18e6, 9e6, 0.0, 9e6, 0.0, 0.0, 0.0, 0.0, 0.0, 36e6), "2,500 GPU-h of 10,000 GPU-h idle"),
        (
            Bill(36e6, 18e6, 9e6, 0.0, 9e6, 500.0, 300.0, 200.0, 0.0, 0.0, 18e6, unpriced_idle_gpu_h=20.0),
            "$200 of $500 and 20 GPU-h without a price idle",
        ),
        (Bill(36e6, 36e6, 0.0, 0.0, 0.0, 500.0, 500.0, 0.0, 0.0, 0.0, 0.0), "$0 of $500 idle"),
        (
            Bill(36e6, 0.0, 0.0, 0.0, 0.0, 500.0, 0.0, 0.0, 0.0, 0.0, 0.0, unknown_gpu_s=36e6, unknown_usd=500.0),
            "not measured, 10,000 GPU-h are unknown",
        ),
    ],
    ids=["nothing has a price", "a part has no price", "nothing is idle", "nothing was measured"],
)
def test_the_subject_says_which_number_is_known(report, bill, expected):
    assert subject(dataclasses.replace(report, bill=bill)).startswith(f"GPU waste W47: {expected}, ")


def test_the_subject_promises_no_money_without_a_price(report):
    unpriced = dataclasses.replace(report, predicted_usd_month=0.0)
    assert subject(unpriced).endswith(", 6 recommendations")
    nothing = dataclasses.replace(report, predicted_usd_month=0.0, recommendations=())
    assert subject(nothing).endswith(", nothing to recommend")


def test_savings_that_are_not_known_are_no_zero_in_any_view(report):
    team = dataclasses.replace(report.teams[0], saving_usd_month=None)
    late = dataclasses.replace(
        report, predicted_usd_month=None, cash_usd_month=None, recommendations=(), waste=(), teams=(team,)
    )
    assert subject(late).endswith(", savings are not known")
    views = (
        render_html(late),
        render_markdown(late),
        str(render_slack(late)),
        parsed(late).get_body(("html",)).get_content(),
    )
    for view in views:
        text = view.replace("\xa0", " ")
        assert "no longer known" in text
        assert "Nothing to recommend" not in text
        assert "predicted: no recommendation is open" not in text
    assert "Predicted savings: **not known**; applied" in views[1]


def test_the_email_has_a_text_part_a_simple_html_part_and_the_page(report):
    found = parsed(report)
    assert found["Subject"] == f"{subject(report)} (demo)"
    assert str(found["From"]) == f"gpuwise <{SENDER}>"
    assert found["To"] == RECIPIENT
    assert found.get_body(("plain",)).get_content().replace("\r\n", "\n") == render_markdown(report)
    html = found.get_body(("html",)).get_content()
    assert subject(report) in html
    assert "gpuwise apply r-0000000001" in html
    assert not any(tag in html for tag in ("<svg", "<style", "<script", "<img", "style="))
    (page,) = found.iter_attachments()
    assert page.get_filename() == "gpuwise-2026-W47.html"
    assert "<svg" in page.get_content()


def test_an_email_is_seven_bit_and_its_lines_are_short(report):
    written = render_email(hostile(), sender=SENDER, recipient=RECIPIENT).as_bytes()
    assert written.isascii()
    assert max(map(len, written.split(b"\r\n"))) <= 998


def test_the_same_report_has_the_same_message_id_and_another_recipient_another_one(report):
    assert parsed(report)["Message-ID"] == parsed(report)["Message-ID"]
    assert parsed(report)["Message-ID"] != parsed(report, recipient="cto@example.com")["Message-ID"]


def test_no_name_becomes_a_header():
    found = parsed(hostile())
    assert found["Bcc"] is None
    assert "\n" not in found["Subject"]
    assert found["Subject"].startswith("GPU waste W47: $37,015 of")
    assert sorted(found.keys()) == sorted(
        ["Subject", "From", "To", "Date", "Message-ID", "Auto-Submitted", "MIME-Version", "Content-Type"]
    )


def test_no_name_becomes_html_in_an_email():
    found = parsed(hostile())
    for html in (found.get_body(("html",)).get_content(), next(found.iter_attachments()).get_content()):
        assert "<img" not in html
        assert "&lt;img src=x onerror=alert(1)&gt;" in html


@pytest.mark.parametrize(
    "address",
    [
        "a@example.com\r\nBcc: b@example.com",
        "a@example.com, b@example.com",
        "A <a@example.com>",
        "a@",
        "@example.com",
        "ä@example.com",
        "a b@example.com",
        "a" * 250 + "@example.com",
    ],
)
def test_what_is_not_one_address_is_refused(report, address):
    with pytest.raises(InputError, match=r"report\.email\.recipients"):
        render_email(report, sender=SENDER, recipient=address)
    with pytest.raises(InputError, match=r"report\.email\.sender"):
        render_email(report, sender=address, recipient=RECIPIENT)


def test_the_first_block_has_the_number_and_the_actions_follow(report):
    first, *others = render_slack(report)
    assert first["type"] == "header"
    assert first["text"]["text"] == subject(report)
    shown = "\n".join(one["text"] for one in texts(others))
    for one in wording.applicable(report)[:5]:
        assert f"`gpuwise apply {one.id}`" in shown
        assert one.workload.name in shown
    ((advised, why),) = wording.advice(report)
    assert f"vision/Job/video-diffusion, vision: could run on spot: prefer spot nodes, $20,892 a month; {why}" in shown
    assert f"apply {advised.id}" not in shown
    assert "`gpuwise undo a-000000000b`" in shown
    assert "search: $7,620, of which idle $3,110; can save $5,022 a month" in shown


def test_budgets_and_lasting_changes_are_in_what_is_sent(report):
    budget = BudgetStatus(
        HOSTILE, "team <ml>", "2026-11", 1_000.0, 900.0, MONDAY, 30.0, 1_300.0, 1_200.0, 1_400.0, "", MONDAY, "breach"
    )
    step = CostAnomaly("team <ml>", MONDAY, 10.0, 40.0, 912.5, "more GPU time", "ml/Job/<b>", "H100", 0.9)
    weeks = tuple(
        WeekCost(f"2026-W{46 + at}", MONDAY + (at - 1) * 604_800, 7, 100.0 + 10 * at, 0.0, 0.0, 0.0, 1.0, 0.0)
        for at in range(2)
    )
    more = dataclasses.replace(report, budgets=(budget,), anomalies=(step,), trend=weeks)
    html = parsed(more).get_body(("html",)).get_content()
    shown = "\n".join(one["text"] for one in texts(render_slack(more)))
    for view in (html, shown):
        assert "will be exceeded on Mon 16 Nov" in view
        assert "more GPU time of ml/Job/&lt;b&gt; on H100" in view
        assert "team &lt;ml&gt;" in view
        assert "+10.0 % to the week before" in view
        assert "<ml>" not in view
    assert "+$912" in html
    assert "since Mon 16 Nov: +$912 a month" in shown


def test_blocks_are_within_the_limits_of_slack():
    many = hostile()
    long = "& " * 5_000
    teams = tuple(TeamCost(f"{long}{index}", 1, 1.0, 1.0, 1.0, 1.0, 1.0) for index in range(5_000))
    actions = many.actions * 100
    many = dataclasses.replace(
        many,
        cluster=long,
        teams=teams,
        actions=actions,
        blocked=many.blocked * 100,
        quality=dataclasses.replace(many.quality, notes=(long,) * 100),
    )
    for report in (many, hostile(), sample_report()):
        blocks = render_slack(report)
        assert 0 < len(blocks) <= MOST_BLOCKS
        assert all(0 < len(one["text"]) <= LONGEST_TEXT for one in texts(blocks))
        assert len(blocks[0]["text"]["text"]) <= LONGEST_HEADER
    assert "The rest is in the report." in "\n".join(one["text"] for one in texts(render_slack(many)))


def test_a_long_list_in_slack_says_how_many_are_left_out(report):
    teams = tuple(dataclasses.replace(report.teams[0], team=f"team-{number}") for number in range(5_000))
    shown = "\n".join(one["text"] for one in texts(render_slack(dataclasses.replace(report, teams=teams))))
    assert "team-9:" in shown
    assert "team-10:" not in shown
    assert "4990 more in the report" in shown
    more = tuple(dataclasses.replace(report.recommendations[0], id=f"r-more{number}") for number in range(6))
    shown = "\n".join(one["text"] for one in texts(render_slack(dataclasses.replace(report, recommendations=more))))
    assert "r-more4" in shown
    assert "r-more5" not in shown
    assert "1 more: `gpuwise plan`" in shown


def test_no_name_is_markup_in_slack():
    message = slack_message(hostile())
    assert "<" not in message["text"]
    for one in texts(message["blocks"]):
        assert "<" not in one["text"]
        assert ">" not in one["text"]
        assert "\r" not in one["text"]
        assert one["type"] == "plain_text" or one["verbatim"] is True
        without = one["text"].replace("&amp;", "").replace("&lt;", "").replace("&gt;", "")
        assert "&" not in without
    shown = "\n".join(one["text"] for one in texts(message["blocks"]))
    assert "&lt;!channel&gt;" in shown
    assert all(line.startswith("•") or "Bcc:" not in line[:4] for line in shown.splitlines())


def test_a_week_of_another_zone_shows_its_own_days(report):
    there = dataclasses.replace(
        report, time_zone="Europe/Berlin", start_s=MONDAY - 3_600, end_s=MONDAY + 7 * 86_400 - 3_600
    )
    assert "Mon 16 Nov to Sun 22 Nov (Europe/Berlin)" in render_markdown(there)
    assert "Mon 16 Nov to Sun 22 Nov (Europe/Berlin)" in parsed(there).get_body(("html",)).get_content()
