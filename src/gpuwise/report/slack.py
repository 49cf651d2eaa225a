"""The report as blocks of Slack's Block Kit, and the text of its notification.

Limits: https://docs.slack.dev/reference/block-kit/blocks (50 blocks in a message, 150 characters in a header) and
https://docs.slack.dev/reference/block-kit/composition-objects/text-object (3,000 characters in a text). Control
characters: https://docs.slack.dev/messaging/formatting-message-text (`&`, `<` and `>`).
"""

import shlex
from collections.abc import Iterable, Iterator
from typing import Any

from gpuwise.model.recommendation import Recommendation
from gpuwise.model.report import Action, TeamCost, WeeklyReport
from gpuwise.report import blocked_groups, spending_wording, wording
from gpuwise.report.extracts import by_state
from gpuwise.report.reasons import reason
from gpuwise.report.subject import subject

MOST_BLOCKS = 50
LONGEST_TEXT = 3_000
LONGEST_HEADER = 150

# A message is read at a glance; the report has the rest.
_ACTIONS, _ROWS = 5, 10
_LONGEST_NAME = 120
_REST = "The rest is in the report."

Block = dict[str, Any]


def render_slack(report: WeeklyReport) -> list[Block]:
    """Render the report as at most 50 blocks; the first one has the number.

    Args:
        report: the report to show. Names in it are text, never a mention, a link or markup of a message.
    """
    context = [_plain(report.cluster), _plain(wording.span(report))]
    if report.selection is not None:
        context.insert(1, _plain(report.selection))
    blocks = [
        {"type": "header", "text": {"type": "plain_text", "text": subject(report)[:LONGEST_HEADER], "emoji": False}},
        _context([" · ".join(context)]),
        _section(_bill(report)),
        *_actions(report),
        *_listed("*Advice: you carry these out*", _advice(report)),
        *_listed("*Budgets*", _budgets(report)),
        *_listed("*Lasting changes of cost*", _steps(report)),
        *_listed("*What was done*", map(_done, report.actions)),
        *_listed("*What was blocked, and why*", _blocked(report)),
        *_listed("*Teams*", map(_team, report.teams)),
        _context(_quality(report)),
    ]
    return blocks[:MOST_BLOCKS]


def slack_message(report: WeeklyReport) -> Block:
    """Return the whole message for an incoming webhook: the blocks, and the text for notifications."""
    return {
        "text": _plain(subject(report)),
        "blocks": render_slack(report),
        "unfurl_links": False,
        "unfurl_media": False,
    }


def _bill(report: WeeklyReport) -> Iterator[str]:
    yield f"*{_plain(wording.headline(report), most=LONGEST_HEADER)}*"
    for one in wording.classes(report):
        of = " of the time" if wording.by_time(report) else ""
        yield f"• {one.text}: {wording.usd(one.usd)}, {wording.percent(one.share)}{of}, {wording.gpu_hours(one.hours)}"
    change = spending_wording.change(report.trend) if report.week else ""
    if change:
        yield f"Cost: {change}"
    applied, realised = wording.usd(report.applied_usd_month), wording.usd(report.realised_usd_month)
    yield (f"Predicted savings: *{wording.predicted_usd(report)}*; applied: {applied}, of which realised: *{realised}*")


def _actions(report: WeeklyReport) -> Iterator[Block]:
    found = wording.applicable(report)
    yield {"type": "divider"}
    if not found:
        yield _section([wording.nothing_to_apply(report)])
        return
    yield _section(["*Do these first*"])
    for one in found[:_ACTIONS]:
        yield _section(_action(one))
    if len(found) > _ACTIONS:
        yield _context([f"{len(found) - _ACTIONS} more: `gpuwise plan`"])


def _action(one: Recommendation) -> Iterator[str]:
    yield f"*{_plain(str(one.workload))}*, {_plain(one.owner or 'no owner')}, {wording.risk(one.risk)}"
    saving = one.saving
    between = f"{wording.usd(saving.low_usd_month)} to {wording.usd(saving.high_usd_month)}"
    yield (
        f"{_plain(wording.sentence(wording.finding(one.finding)))}: {_plain(wording.change(one.change))}. "
        f"*{wording.usd(saving.usd_month)}* a month ({between})"
    )
    yield _code("apply", one.id)


def _advice(report: WeeklyReport) -> Iterator[str]:
    for one, why in wording.advice(report):
        what = f"{wording.finding(one.finding)}: {_plain(wording.change(one.change))}"
        whose = f"{_plain(str(one.workload))}, {_plain(one.owner or 'no owner')}"
        yield f"• {whose}: {what}, {wording.usd(one.saving.usd_month)} a month; {_plain(why)}"


def _budgets(report: WeeklyReport) -> Iterator[str]:
    for one in by_state(report.budgets):
        whose = f"{_plain(one.name)} ({_plain(spending_wording.budget_subject(one))}, {one.month})"
        yield f"• {whose}: {wording.usd(one.usd)}; {_plain(spending_wording.budget_state(one), most=300)}"


def _steps(report: WeeklyReport) -> Iterator[str]:
    for one in report.anomalies:
        size = f"{'+' if one.usd_month >= 0 else ''}{wording.usd(one.usd_month)} a month"
        why = _plain(spending_wording.cause(one), most=300)
        yield f"• {_plain(one.subject)}, since {wording.day(one.since_s)}: {size}; {why}"


def _done(one: Action) -> str:
    command = one.intent.command
    result = wording.status(one.outcome.status if one.outcome else None)
    undo = f" {_code('undo', command.id)}" if wording.undoable(one.outcome) else ""
    return f"• {_plain(str(command.workload))}: {_plain(wording.change(command.change))}, {result}{undo}"


def _blocked(report: WeeklyReport) -> Iterator[str]:
    for group in blocked_groups.blocked(report.blocked):
        example = group.examples[0]
        where = _plain(f"{example.workload.namespace or example.workload.kind}/{example.workload.name}")
        yield f"• {reason(group.code)}: {group.count}, such as {where}"


def _team(one: TeamCost) -> str:
    name, cost, idle = _plain(one.team or "no owner"), wording.usd(one.cost_usd), wording.usd(one.idle_usd)
    can = "" if one.saving_usd_month is None else f"; can save {wording.usd(one.saving_usd_month)} a month"
    return f"• {name}: {cost}, of which idle {idle}{can}"


def _quality(report: WeeklyReport) -> Iterator[str]:
    known = report.quality
    yield (
        f"{known.measured} of {known.workloads} workloads were measured; activity was sampled for "
        f"{wording.percent(known.coverage)} of the allocated GPU time. Time without samples counts as used."
    )
    yield from (_plain(note, most=300) for note in known.notes)


def _listed(title: str, lines: Iterable[str]) -> Iterator[Block]:
    every = list(lines)
    if every:
        more = [f"{len(every) - _ROWS} more in the report"] if len(every) > _ROWS else []
        yield _section([title, *every[:_ROWS], *more])


def _section(lines: Iterable[str]) -> Block:
    return {"type": "section", "text": _text(lines)}


def _context(lines: Iterable[str]) -> Block:
    return {"type": "context", "elements": [_text(lines)]}


def _text(lines: Iterable[str]) -> Block:
    """A text of whole lines, so that no entity is cut. `verbatim` keeps Slack from making links of names."""
    kept, size = [], len(_REST)
    for line in lines:
        size += len(line) + 1
        if size > LONGEST_TEXT:
            kept.append(_REST)
            break
        kept.append(line)
    return {"type": "mrkdwn", "text": "\n".join(kept), "verbatim": True}


def _plain(text: str, *, most: int = _LONGEST_NAME) -> str:
    """One line of text without control sequences; shortened before it is escaped, so that no entity is cut.

    Each character becomes at most 5, so one line always fits into a text.
    """
    line = " ".join(text.split())
    short = line if len(line) <= most else f"{line[: most - 1]}…"
    return short.replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;")


def _code(*words: str) -> str:
    """A command to copy. Slack has no way to write a backtick within code."""
    return f"`{_plain(shlex.join(('gpuwise', *words)).replace('`', chr(39)))}`"
