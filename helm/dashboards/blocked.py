"""Why did nothing happen?"""

from helm.dashboards.board import Board, Variable
from helm.dashboards.panels import COUNT, DOLLARS, RATIO, SECONDS, Panel, bars, lines, number, rows, stacked
from helm.dashboards.queries import SCOPE, every, rate

_CHOSEN = 'stage=~"$stage"'
_APPLIED = 'status="applied"'

_OVERVIEW: tuple[Panel, ...] = (
    number(
        "Open recommendations",
        f"sum({every('gpuwise_recommendations')})",
        COUNT,
        "Changes that gpuwise recommends; which of them it may make itself is decided by policy.",
    ),
    number(
        "Their savings per month",
        f"sum({every('gpuwise_recommended_saving_usd_per_month')})",
        DOLLARS,
        "Sum of the savings of all open recommendations.",
    ),
    number("Blocked changes", f"sum({every('gpuwise_blocked')})", COUNT, "Changes that a step of the loop blocked."),
    number(
        "Applied this week",
        f"sum({every('gpuwise_actions', _APPLIED)})",
        COUNT,
        "Changes that gpuwise made and verified.",
        missing="0",
    ),
    number(
        "Savings of applied changes per month",
        f"sum({every('gpuwise_applied_saving_usd_per_month')})",
        DOLLARS,
        "Changes that were applied in the week and not undone.",
    ),
    number(
        "Age of the report",
        f"time() - max({every('gpuwise_report_timestamp_seconds')})",
        SECONDS,
        "Nothing is decided while the service does not run.",
    ),
)
_WHY: tuple[Panel, ...] = (
    rows(
        "Why did nothing happen?",
        f"sort_desc(sum by (stage, reason) ({every('gpuwise_blocked', _CHOSEN)}))",
        COUNT,
        "Blocked changes, by the step that blocked them and its reason; `gpuwise explain` shows each one, "
        "and docs/reasons.md has the reasons.",
    ),
    bars(
        "Reasons",
        f"sort_desc(topk(15, sum by (reason) ({every('gpuwise_blocked', _CHOSEN)})))",
        "{{reason}}",
        COUNT,
        "The most frequent reasons.",
    ),
    stacked(
        "Blocked changes over time",
        f"sum by (stage) ({every('gpuwise_blocked', _CHOSEN)})",
        "{{stage}}",
        COUNT,
        "By step. The step `decide` is policy: mode, protection, budget, cool-down.",
    ),
    rows(
        "What was done",
        f"sort_desc(sum by (status) ({every('gpuwise_actions')}))",
        COUNT,
        "Actions of the week, by outcome; the report lists each one.",
    ),
    rows(
        "What could be done",
        f"sort_desc(sum by (finding) ({every('gpuwise_recommendations')}))",
        COUNT,
        "Open recommendations by finding; `gpuwise scan` lists them.",
    ),
    lines(
        "Coverage",
        f"min({every('gpuwise_data_coverage_ratio')})",
        "coverage",
        RATIO,
        "Share of the allocated GPU time with an activity sample. Where it is low, most changes are blocked.",
    ),
)
_LOOP: tuple[Panel, ...] = (
    lines(
        "Time since each step last succeeded",
        f"time() - max by (step) ({every('gpuwise_step_last_success_timestamp_seconds')})",
        "{{step}}",
        SECONDS,
        "A step that grows beyond the interval of the loop fails: see the runbook, GpuwisePassesFailing.",
    ),
    lines(
        "Failures of steps",
        f"sum by (step) ({rate(every('gpuwise_step_errors_total'))})",
        "{{step}}",
        "cps",
        "Errors per second that ended a step of the loop.",
    ),
    lines(
        "Duration of steps",
        f"sum by (step) ({rate(every('gpuwise_step_duration_seconds_sum'))})"
        f" / sum by (step) ({rate(every('gpuwise_step_duration_seconds_count'))})",
        "{{step}}",
        SECONDS,
        "Mean duration of each step; the step `pass` is a whole pass.",
    ),
    rows(
        "Passes that alerts asked for",
        f"sum by (result) ({every('gpuwise_alert_notifications_total')})",
        COUNT,
        "Notifications of Alertmanager since the service started, by what they caused; docs/alerting.md explains it.",
    ),
)

BOARD = Board(
    name="why-nothing",
    title="Why did nothing happen?",
    description="Which changes gpuwise did not make, which step blocked them, and why; and whether the loop runs.",
    source="gpuwise_build_info",
    rows=(("Overview", _OVERVIEW), ("Why", _WHY), ("The loop", _LOOP)),
    variables=(Variable("stage", f"gpuwise_blocked{{{SCOPE}}}"),),
    since="now-7d",
)
