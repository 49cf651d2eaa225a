"""The configuration: flags override the environment, which overrides the file, which overrides the defaults.

Every key has one dotted name, such as `policy.mode`: nested YAML in a file, `GPUWISE_POLICY_MODE` in the environment.

Forbidden here: to be imported by what it configures.
"""

from gpuwise.config.home import at_home, expanded
from gpuwise.config.keys import keys, variable
from gpuwise.config.loading import load
from gpuwise.config.sections import (
    CanaryConfig,
    Config,
    EnactConfig,
    KubernetesConfig,
    LedgerConfig,
    LevelConfig,
    ObserveConfig,
    PrometheusConfig,
    ScheduleConfig,
    ServiceConfig,
    WatchConfig,
)

__all__ = [
    "CanaryConfig",
    "Config",
    "EnactConfig",
    "KubernetesConfig",
    "LedgerConfig",
    "LevelConfig",
    "ObserveConfig",
    "PrometheusConfig",
    "ScheduleConfig",
    "ServiceConfig",
    "WatchConfig",
    "at_home",
    "expanded",
    "keys",
    "load",
    "variable",
]
