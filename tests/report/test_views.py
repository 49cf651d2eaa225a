"""The three views are complete and escaped, and show what is unknown."""

import dataclasses
import re
from html.parser import HTMLParser

import pytest

from gpuwise.model.codec import from_json
from gpuwise.model.command import Outcome, OutcomeStatus
from gpuwise.model.reasons import Reason
from gpuwise.model.recommendation import Blocked
from gpuwise.model.report import Bill, DataQuality, Waste, WasteClass, WeeklyReport
from gpuwise.report import headline, render_html, render_json, render_markdown, render_waiting, write_report

EMPTY_BILL = Bill(0.0, 0.0, 0.0, 0.0, 0.0, 0.0, 0.0, 0.0, 0.0, 0.0, 0.0)


class Page(HTMLParser):
    """A parsed page: its tags, their attributes, and the text."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.tags: list[tuple[str, dict[str, str | None]]] = []
        self.text = ""
        self.feed(text)
        self.close()

    def handle_starttag(self, tag, attrs):
        self.tags.append((tag, dict(attrs)))

    def handle_data(self, data):
        self.text += data


def empty(report: WeeklyReport) -> WeeklyReport:
    return dataclasses.replace(
        report, bill=EMPTY_BILL, days=(), teams=(), workloads=(), recommendations=(), blocked=(), actions=(),
        predicted_usd_month=0.0, realised_usd_month=0.0, quality=DataQuality(0, 0, None, 0, ()),
    )  # fmt: skip


def test_the_headline_contains_the_number_and_is_the_page_title(report):
    assert headline(report) == "$37,015 of GPU time was idle in 2026-W47: 22\u00a0% of the bill"
    assert headline(report) in render_html(report)
    assert render_markdown(report).startswith("# $37,015 of GPU time was idle")


def test_the_headline_without_prices_is_in_hours(report):
    unpriced = dataclasses.replace(report, bill=Bill(36e6, 18e6, 9e6, 0.0, 9e6, 0.0, 0.0, 0.0, 0.0, 0.0, 36e6))
    assert (
        headline(unpriced)
        == "2,500\u00a0GPU-h were idle in 2026-W47: 25\u00a0% of the capacity; 10,000\u00a0GPU-h have no price"
    )
    assert "unknown" in render_html(unpriced)
    assert headline(empty(report)) == "No allocated GPU time was idle in 2026-W47"


def test_each_class_of_the_bill_is_shown_with_its_money_and_its_time(report):
    for text in (render_html(report), render_markdown(report)):
        assert "used outside kubernetes" in text.lower()
        assert "$3,185" in text
        assert "1,111 GPU-h" in text.replace("\u00a0", " ")
    # In the bar of the bill, in the way from it to useful work, and on each day.
    assert render_html(report).count('class="outside"') == 2 + len(report.days)


def test_the_page_is_one_file_without_script(report):
    page = Page(render_html(report))
    tags = {tag for tag, _ in page.tags}
    assert not tags & {"script", "iframe", "object", "embed", "form"}
    addresses = [value for _, attrs in page.tags for key, value in attrs.items() if key in {"href", "src"}]
    assert all(address.startswith(("data:", "#")) for address in addresses)
    own = {f"#{attrs['id']}" for _, attrs in page.tags if "id" in attrs}
    assert {address for address in addresses if address.startswith("#")} <= own
    assert not [key for _, attrs in page.tags for key in attrs if key.startswith("on") or key == "style"]
    assert "url(" not in render_html(report)


def test_charts_have_a_text_alternative(report):
    charts = [attrs for tag, attrs in Page(render_html(report)).tags if tag == "svg"]
    way = 5  # the bill, unallocated, outside, idle, used
    assert len(charts) == 2 + way + len(report.teams) + len(report.workloads)
    assert all(attrs["role"] == "img" and attrs["aria-label"] for attrs in charts)


def test_every_top_action_has_owner_risk_and_a_command(report):
    first = report.recommendations[0]
    more = tuple(dataclasses.replace(first, id=f"r-more{number}") for number in range(6))
    many = dataclasses.replace(report, recommendations=more)
    text, markdown = Page(render_html(many)).text, render_markdown(many)
    for one in more[:5]:
        for view in (text, markdown):
            assert f"gpuwise apply {one.id}" in view
            assert one.workload.name in view
    assert more[5].id not in text
    assert "1 more" in text
    text = Page(render_html(report)).text
    assert "medium risk" in text
    assert "no owner" in text


def test_what_was_applied_can_be_undone_and_what_was_not_cannot(report):
    for view in (Page(render_html(report)).text, render_markdown(report)):
        assert "gpuwise undo a-000000000b" in view
        assert view.count("gpuwise undo") == 2  # the other one is in progress
        assert view.count("nothing to undo") == 1


@pytest.mark.parametrize(
    ("outcome", "undo"),
    [
        (None, True),
        (Outcome("a-000000000b", 0, OutcomeStatus.WATCHING, None, "spec.replicas: 1 -> 0"), True),
        (Outcome("a-000000000b", 0, OutcomeStatus.UNKNOWN, Reason.OUTCOME_UNKNOWN, "timeout"), True),
        (Outcome("a-000000000b", 0, OutcomeStatus.FAILED, Reason.CHECK_FAILED, "it could not be restored"), True),
        (Outcome("a-000000000b", 0, OutcomeStatus.FAILED, Reason.NO_EFFECT, "a webhook reverted it"), False),
        (Outcome("a-000000000b", 0, OutcomeStatus.REVERTED, Reason.CHECK_FAILED, "restored"), False),
    ],
)
def test_what_may_be_in_place_can_be_undone(report, outcome, undo):
    one = next(one for one in report.actions if one.intent.command.id == "a-000000000b")
    changed = dataclasses.replace(report, actions=(dataclasses.replace(one, outcome=outcome),))
    for view in (Page(render_html(changed)).text, render_markdown(changed)):
        assert ("gpuwise undo a-000000000b" in view, "nothing to undo" in view) == (undo, not undo)


def test_what_is_blocked_is_grouped_by_reason_and_healthy_workloads_only_counted(report):
    markdown = render_markdown(report)
    assert "| its mode is recommend: a person may apply it (RecommendOnly) | 2 |" in markdown
    assert "(UnreadablePolicy) | 1 |" in markdown
    assert "in use 40" in markdown
    assert "(Busy)" not in markdown


def test_what_gpuwise_cannot_apply_is_advice_with_its_reason(report):
    first, second, *_ = report.recommendations
    owned = Blocked(first.workload, "decide", Reason.MANAGED_BY_OTHER, "owned by Flux/apps", (), first.id)
    blocked = dataclasses.replace(report, recommendations=(first, second), blockers=(owned,))
    for view in (Page(render_html(blocked)).text, render_markdown(blocked)):
        before, _, after = view.partition("Advice: you carry these out")
        assert f"gpuwise apply {second.id}" in before
        assert f"gpuwise explain {first.id}" in after
        assert "owned by Flux/apps" in after
        assert f"gpuwise apply {first.id}" not in view
    none = dataclasses.replace(blocked, recommendations=(first,))
    assert "Nothing that gpuwise can apply." in render_markdown(none)


def test_a_change_to_a_job_template_is_advice(report):
    """Reports of older releases have no recorded blockers: what cannot be written is still shown as advice."""
    jobs = [one for one in report.recommendations if one.workload.kind == "Job" and one.change.kind != "ScaleTo"]
    assert jobs
    for view in (Page(render_html(report)).text, render_markdown(report)):
        assert all(f"gpuwise explain {one.id}" in view and f"gpuwise apply {one.id}" not in view for one in jobs)


def test_the_report_shows_the_data_coverage_and_not_a_certainty(report):
    one = dataclasses.replace(report.recommendations[0], observed_s=14 * 86_400, coverage=0.98)
    text = Page(render_html(dataclasses.replace(report, recommendations=(one,)))).text
    assert "data: 14\u00a0d, 98\u00a0% of the samples" in text
    assert " sure" not in text


def test_an_unknown_amount_is_shown_as_unknown_and_zero_as_a_number(report):
    text = Page(render_html(report)).text
    assert "odd-card" in text
    assert "unknown" in text
    free = dataclasses.replace(report, realised_usd_month=0.0)
    assert "**$0** a month" in render_markdown(free)


def test_hostile_names_stay_text_in_html(hostile_report):
    page = Page(render_html(hostile_report))
    assert "<script>alert(1)</script>" in page.text
    assert "script" not in {tag for tag, _ in page.tags}
    assert not [attrs for tag, attrs in page.tags if tag == "a" and not attrs["href"].startswith("#")]


def test_hostile_names_stay_in_their_cell_in_markdown(hostile_report):
    markdown = render_markdown(hostile_report)
    assert "<script>" not in markdown
    assert "[x](http" not in markdown
    assert "://" not in markdown
    rows = [line for line in markdown.splitlines() if line.startswith("|")]
    cells = {}
    for line in rows:
        width = len(re.findall(r"(?<!\\)\|", line)) - 1
        cells.setdefault(width, []).append(line)
    assert set(cells) == {3, 4, 5, 6, 8}
    assert not [line for line in markdown.splitlines() if line.startswith("# boo")]


def test_a_hostile_id_is_quoted_for_the_shell(report):
    one = dataclasses.replace(report.recommendations[0], id="r-1; rm -rf ~")
    text = Page(render_html(dataclasses.replace(report, recommendations=(one,)))).text
    assert "gpuwise apply 'r-1; rm -rf ~'" in text


def test_json_reads_back_as_the_same_report(report):
    assert from_json(WeeklyReport, render_json(report)) == report


@pytest.mark.parametrize("render", [render_html, render_markdown, render_json])
def test_an_empty_week_is_still_rendered(report, render):
    assert "2026-W47" in render(empty(report))


def test_an_empty_week_has_a_sentence_for_each_empty_section(report):
    text = Page(render_html(empty(report))).text
    for sentence in ("Nothing to recommend", "Nothing was changed", "Nothing was blocked", "No day of this period"):
        assert sentence in text


def test_three_files_are_written_to_one_directory(report, tmp_path):
    paths = write_report(report, tmp_path / "new" / "folder")
    assert paths.html.name == "gpuwise-2026-W47.html"
    assert paths.html.read_text() == render_html(report)
    assert paths.markdown.read_text() == render_markdown(report)
    assert paths.json.read_text() == render_json(report)


def test_the_page_before_the_first_run_shows_the_commands_to_run():
    text = Page(render_waiting()).text
    assert "No run yet" in text
    assert "gpuwise doctor" in text


def test_classes_of_waste_and_cash_are_on_the_first_screen_and_their_owners_in_the_table(report):
    owners = (("<b>ml</b>", 60.0), ("b", 30.0), ("c", 8.0), (None, 2.0))
    waste = (
        Waste(WasteClass.FORGOTTEN, 3, 100.0, 50.0, owners),
        Waste(WasteClass.UNFILLED, 1, 9.0, 5.0, ((None, 9.0),)),
    )
    found = dataclasses.replace(report, waste=waste, cash_usd_month=9.0)
    html, markdown = render_html(found), render_markdown(found)
    assert "3 recommendations, mostly &lt;b&gt;ml&lt;/b&gt;" in html
    assert "1 recommendation, without a team" in html
    assert "$9 of it is cash" in html
    assert "$60, b $30, c $8, 1 other $2" in markdown
    assert "$9 is cash" in markdown
