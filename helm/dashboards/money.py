"""Where does the GPU money go?"""

from helm.dashboards.board import Board, Variable
from helm.dashboards.panels import COUNT, DOLLARS, RATIO, SECONDS, WATTS, bars, lines, number, rows, stacked
from helm.dashboards.queries import SCOPE, every

_NO_REPORT = "no report yet"
_NAMESPACE = 'namespace=~"$namespace"'
_IDLE, _FREE = 'class="idle"', 'class="unallocated"'

_MONEY = (
    number(
        "Weekly cost",
        f"sum({every('gpuwise_fleet_cost_usd')})",
        DOLLARS,
        "Cost of all GPUs, allocated or not.",
        missing=_NO_REPORT,
    ),
    number(
        "Idle cost",
        f"sum({every('gpuwise_fleet_cost_usd', _IDLE)})",
        DOLLARS,
        "Cost of the time in which GPUs were allocated to a pod and every signal showed them idle.",
        missing=_NO_REPORT,
    ),
    number(
        "Unallocated cost",
        f"sum({every('gpuwise_fleet_cost_usd', _FREE)})",
        DOLLARS,
        "Cost of the time in which GPUs were not allocated to a pod and are known to have been free.",
        missing=_NO_REPORT,
    ),
    number(
        "Possible savings per month",
        f"sum({every('gpuwise_recommended_saving_usd_per_month')})",
        DOLLARS,
        "Sum of the savings of all open recommendations.",
        missing=_NO_REPORT,
    ),
    number(
        "Realised savings per month",
        f"sum({every('gpuwise_realised_saving_usd_per_month')})",
        DOLLARS,
        "Savings of the week's applied changes that the cluster still has.",
        missing=_NO_REPORT,
    ),
    number(
        "Coverage",
        f"min({every('gpuwise_data_coverage_ratio')})",
        RATIO,
        "Share of the allocated GPU time that has an activity sample. Time without a sample never counts as idle.",
        missing=_NO_REPORT,
    ),
    bars(
        "Cost of the week by use",
        f"sort_desc(sum by (class) ({every('gpuwise_fleet_cost_usd')}))",
        "{{class}}",
        DOLLARS,
        "Cost by class: used, idle, outside Kubernetes, unallocated, unknown (nobody measured it), or stranded.",
    ),
    stacked(
        "GPU time of the week by use",
        f"sum by (class) ({every('gpuwise_fleet_gpu_seconds')})",
        "{{class}}",
        SECONDS,
        "GPU time of the week before each report, by the same classes.",
    ),
    bars(
        "Idle cost by team",
        f"sort_desc(topk(15, sum by (team) ({every('gpuwise_team_idle_cost_usd')})))",
        "{{team}}",
        DOLLARS,
        "Cost of the idle time of each team's allocated GPUs in the week.",
    ),
    rows(
        "What to do",
        f"sort_desc(sum by (finding) ({every('gpuwise_recommended_saving_usd_per_month')}))",
        DOLLARS,
        "Savings of the open recommendations per month, by finding; `gpuwise scan` lists them.",
    ),
)
_NOW = (
    lines(
        "Activity by namespace",
        "avg by (namespace) (max by (namespace, device_uuid) ("
        f"{every('gpuwise_gpu_sm_activity_ratio', _NAMESPACE)}"
        f" or on (device_uuid, pod) {every('gpuwise_gpu_utilization_ratio', _NAMESPACE)}))",
        "{{namespace}}",
        RATIO,
        "SM activity where the GPU supports it, otherwise the share of time in which any kernel ran.",
    ),
    stacked(
        "Allocated devices by namespace",
        f"count by (namespace) (count by (namespace, device_uuid) ({every('gpuwise_gpu_info', _NAMESPACE)}))",
        "{{namespace}}",
        COUNT,
        "GPUs and MIG instances; a shared device counts once in each namespace.",
    ),
    stacked(
        "Power by node",
        f"sum by (node) (max by (cluster, node, device_uuid) ({every('gpuwise_gpu_power_watts')}))",
        "{{node}}",
        WATTS,
        "Power draw of whole boards.",
    ),
    lines(
        "Coverage over time",
        f"min({every('gpuwise_data_coverage_ratio')})",
        "coverage",
        RATIO,
        "Share of the allocated GPU time with an activity sample. Savings are only found in what is measured.",
    ),
)

BOARD = Board(
    name="gpu-money",
    title="Where does the GPU money go?",
    description="What the fleet's GPUs cost, how much of it is idle, and what to do about it.",
    source='{__name__=~"gpuwise_fleet_cost_usd|gpuwise_gpu_info"}',
    rows=(("Money", _MONEY), ("Now", _NOW)),
    variables=(Variable("namespace", f"gpuwise_gpu_info{{{SCOPE}}}"),),
    since="now-7d",
)
