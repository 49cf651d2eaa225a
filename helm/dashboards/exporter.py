"""Can the exporters' values be trusted?"""

from helm.dashboards.board import Board, of_devices
from helm.dashboards.panels import COUNT, SECONDS, Panel, lines, number, rows, states
from helm.dashboards.queries import every, rate

_NODE, _OURS = 'node=~"$node"', 'job=~".*gpuwise.*exporter.*"'
_UP_OR_DOWN = {"0": "down", "1": "up"}

_OVERVIEW: tuple[Panel, ...] = (
    number(
        "Exporters",
        f"count({every('gpuwise_exporter_build_info')})",
        COUNT,
        "Exporters that Prometheus scrapes successfully.",
    ),
    number(
        "Exporters that are down",
        f"sum(1 - {every('up', _OURS)})",
        COUNT,
        "Targets of the exporter's job that cannot be scraped: see the runbook, GpuwiseExporterDown.",
    ),
    number(
        "Nodes without a driver",
        f"sum(1 - {every('gpuwise_exporter_driver_up')})",
        COUNT,
        "Exporters whose driver listed no devices in the last sweep.",
    ),
    number(
        "Nodes without attribution",
        f"sum(1 - {every('gpuwise_exporter_pod_resources_up')})",
        COUNT,
        "Exporters that the kubelet does not tell which pod uses which device.",
    ),
    number(
        "Oldest snapshot",
        f"max({every('gpuwise_exporter_snapshot_age_seconds')})",
        SECONDS,
        "Age of the oldest values that an exporter serves as current.",
    ),
    number(
        "Series",
        f"sum({every('gpuwise_exporter_series')})",
        COUNT,
        "Series of devices and containers of all exporters.",
    ),
)
_SAMPLES: tuple[Panel, ...] = (
    states(
        "Scrapes",
        every("up", _OURS),
        "{{instance}}",
        _UP_OR_DOWN,
        "Whether Prometheus could scrape each exporter.",
    ),
    states(
        "Driver",
        every("gpuwise_exporter_driver_up"),
        "{{instance}}",
        _UP_OR_DOWN,
        "Whether the driver listed its devices in the last sweep.",
    ),
    lines(
        "Age of the oldest reading by node",
        f"time() - min by (node) ({every('gpuwise_gpu_sample_timestamp_seconds', _NODE)})",
        "{{node}}",
        SECONDS,
        "Increases while a call into the driver hangs, or a GPU is lost.",
    ),
    lines(
        "Duration of a sweep",
        f"max by (instance) ({every('gpuwise_exporter_collection_duration_seconds')})",
        "{{instance}}",
        SECONDS,
        "Time to read all devices of a node once.",
    ),
    lines(
        "Sweeps",
        f"sum by (instance) ({rate(every('gpuwise_exporter_sweeps_total'))})",
        "{{instance}}",
        "cps",
        "Sweeps per second: one divided by the exporter's interval.",
    ),
    lines(
        "Errors",
        f"sum by (instance, code) ({rate(every('gpuwise_exporter_errors_total'))})",
        "{{instance}} {{code}}",
        "cps",
        "Errors per second by code: names of NVML, DEVICES_NOT_LISTED or POD_RESOURCES_UNAVAILABLE.",
    ),
)
_LIMITS: tuple[Panel, ...] = (
    lines("Series by node", every("gpuwise_exporter_series"), "{{instance}}", COUNT, "The limit is --max-series."),
    rows(
        "Metrics that the limit removes",
        f"sort_desc({every('gpuwise_exporter_dropped_series')})",
        COUNT,
        "Series that are missing because of --max-series: see the runbook, GpuwiseSeriesDropped.",
    ),
    rows(
        "Impossible values",
        f"sort_desc(sum by (instance, signal) ({every('gpuwise_exporter_dropped_values_total')}))",
        COUNT,
        "Values since the exporter started that no board can report, which the exporter drops.",
    ),
    rows(
        "Versions of the driver",
        f"count by (driver_version) ({every('gpuwise_exporter_driver_info')})",
        COUNT,
        "Number of nodes with each version of the driver.",
    ),
    rows(
        "Versions of the exporter",
        f"count by (version) ({every('gpuwise_exporter_build_info')})",
        COUNT,
        "Number of exporters of each version.",
    ),
    lines(
        "Driver reloads",
        f"sum by (instance) (increase({every('gpuwise_exporter_driver_reloads_total')}[$__rate_interval]))",
        "{{instance}}",
        COUNT,
        "How often the driver was unloaded and loaded again.",
    ),
)

BOARD = Board(
    name="exporter",
    title="Exporter health",
    description="Whether each node's exporter runs, reads its GPUs in time, and knows which pod uses them.",
    source="gpuwise_exporter_build_info",
    rows=(("Overview", _OVERVIEW), ("Samples", _SAMPLES), ("Limits and versions", _LIMITS)),
    variables=of_devices("node"),
)
