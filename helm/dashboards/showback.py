"""What does each team's use of GPUs cost?"""

from helm.dashboards.board import Board, Variable
from helm.dashboards.panels import COUNT, DOLLARS, RATIO, SECONDS, bars, lines, number, rows, stacked
from helm.dashboards.queries import SCOPE, every

_TEAM, _NAMESPACE = 'team=~"$team"', 'namespace=~"$namespace"'
_OWNED, _NO_TEAM = 'team!="(none)"', 'class=~"outside|unallocated|unknown|stranded"'
_MEAN = 'bound="expected"'
_COST = f"sum by (team) ({every('gpuwise_team_cost_usd', _TEAM)})"
_IDLE = f"sum by (team) ({every('gpuwise_team_idle_cost_usd', _TEAM)})"

_TEAMS = (
    number(
        "Weekly cost of teams", f"sum({_COST})", DOLLARS, "Cost of the GPUs that were allocated to the teams.", width=6
    ),
    number(
        "Of this, idle", f"sum({_IDLE})", DOLLARS, "Cost of the time in which every signal showed them idle.", width=6
    ),
    number(
        "Share without an owner",
        f"1 - (sum({every('gpuwise_team_cost_usd', _OWNED)}) or vector(0)) / sum({every('gpuwise_team_cost_usd')})",
        RATIO,
        "Cost of workloads that no label assigns to a team.",
        width=6,
    ),
    number(
        "GPU time without a price",
        f"sum({every('gpuwise_fleet_unpriced_gpu_seconds')})",
        SECONDS,
        "GPU time for which no price is known; it is in no cost on this page.",
        width=6,
    ),
    bars("Cost by team", f"sort_desc({_COST})", "{{team}}", DOLLARS, "Cost of each team's allocated GPUs in the week."),
    bars("Idle cost by team", f"sort_desc({_IDLE})", "{{team}}", DOLLARS, "Cost of the part that was idle."),
    bars("Idle share by team", f"sort_desc({_IDLE} / {_COST})", "{{team}}", RATIO, "Idle cost divided by cost."),
    lines("Cost by team over time", _COST, "{{team}}", DOLLARS, "Cost of the week before each report."),
)
_SPENT = f"max by (budget, subject) ({every('gpuwise_budget_actual_usd')})"
_BUDGET = f"max by (budget, subject) ({every('gpuwise_budget_usd')})"
_EXPECTED = f"max by (budget, subject) ({every('gpuwise_budget_forecast_usd', _MEAN)})"
_BUDGETS = (
    bars(
        "Budgets: spent",
        f"sort_desc(topk(20, {_SPENT} / {_BUDGET}))",
        "{{budget}} ({{subject}})",
        RATIO,
        "Cost of the month until now, as a share of its budget.",
    ),
    bars(
        "Budgets: expected",
        f"sort_desc(topk(20, {_EXPECTED} / {_BUDGET}))",
        "{{budget}} ({{subject}})",
        RATIO,
        "Expected cost of the whole month, as a share of its budget; `gpuwise budget` has the interval.",
    ),
)
_REST = (
    bars(
        "Cost that belongs to no team",
        f"sum by (class) ({every('gpuwise_fleet_cost_usd', _NO_TEAM)})",
        "{{class}}",
        DOLLARS,
        "Time outside Kubernetes, unallocated, not measured, or stranded beside MIG instances.",
    ),
    rows(
        "Energy by namespace",
        "sort_desc(sum by (namespace)"
        f" (increase({every('gpuwise_container_gpu_energy_joules_total', _NAMESPACE)}[$__range])) / 3.6e6)",
        "kwatth",
        "Energy of the containers over the time range of the dashboard.",
    ),
    stacked(
        "Devices by namespace",
        f"count by (namespace) (count by (namespace, device_uuid) ({every('gpuwise_gpu_info', _NAMESPACE)}))",
        "{{namespace}}",
        COUNT,
        "GPUs and MIG instances that are allocated; a shared device counts once in each namespace.",
    ),
    stacked(
        "Memory by namespace",
        f"sum by (namespace) ({every('gpuwise_container_gpu_memory_used_bytes', _NAMESPACE)})",
        "{{namespace}}",
        "bytes",
        "Framebuffer that the namespace's containers use. The parts of a shared GPU add up to the GPU.",
    ),
)

BOARD = Board(
    name="showback",
    title="Team show-back",
    description="What each team's GPUs cost in the week, how much of it was idle, and what belongs to no team.",
    source='{__name__=~"gpuwise_team_cost_usd|gpuwise_gpu_info"}',
    rows=(("Teams", _TEAMS), ("Budgets", _BUDGETS), ("Beyond teams", _REST)),
    variables=(
        Variable("team", f"gpuwise_team_cost_usd{{{SCOPE}}}"),
        Variable("namespace", f"gpuwise_gpu_info{{{SCOPE}}}"),
    ),
    since="now-30d",
)
