"""The settings of the loop and of the enactor, from the sections of the configuration."""

from gpuwise import leading
from gpuwise.config import Config
from gpuwise.enact.settings import EnactSettings
from gpuwise.finops import FinopsSettings
from gpuwise.model.command import FLEET, Limit, ServiceLevel
from gpuwise.model.errors import InputError
from gpuwise.model.tagging import TAGS
from gpuwise.pipeline import HOUR_S, LoopSettings


def loop_settings(config: Config) -> LoopSettings:
    """Return the settings of the loop.

    Raises:
        InputError: the step does not divide an hour, or `finops` says so.
    """
    if config.observe.step_s <= 0 or HOUR_S % config.observe.step_s:
        raise InputError(
            f"observe.step_s is {config.observe.step_s}, which does not divide an hour",
            hint="set it to a divisor of 3600, such as 60, 300 or 900",
        )
    return LoopSettings(
        cluster_name=config.cluster_name,
        look_back_h=config.observe.look_back_h,
        step_s=config.observe.step_s,
        shard_workloads=config.observe.shard_workloads,
        pass_interval_s=config.service.interval_s,
        score=config.score,
        recommend=config.recommend,
        policy=config.policy,
        nodes=config.enact.nodes,
        finops=finops(config),
    )


def finops(config: Config) -> FinopsSettings:
    """Return the settings of cost.

    Raises:
        InputError: the tags are of a key that no label names.
    """
    for key in config.finops.tags:
        if key not in TAGS:
            raise InputError(f"finops.tags has {key!r}", hint=f"use {', '.join(TAGS)}")
    return config.finops


def enact_settings(config: Config) -> EnactSettings:
    """Return the limits of the enactor."""
    return EnactSettings(
        dry_run=config.enact.dry_run,
        limits=(Limit(FLEET, config.policy.budget.disruptions, config.policy.budget.per_s),),
        protected_namespaces=frozenset({*config.policy.protected_namespaces, *filter(None, [leading.pod_namespace()])}),
        protections=config.policy.protections,
        default_mode=config.policy.mode,
        stop_namespace=config.lead.namespace or leading.own_namespace(),
        stop_must_be_readable=leading.pod_namespace() is not None,
        watch_s=config.enact.watch.seconds,
        canary_share=config.enact.canary.share,
        canary_s=config.enact.canary.seconds,
        levels=tuple(ServiceLevel(one.name, one.query, one.at_most, one.at_least) for one in config.enact.watch.levels),
        min_alive_s=config.enact.min_alive_s,
        wake_ahead_s=config.enact.wake_ahead_s,
        nodes=config.enact.nodes,
        node_action_s=config.enact.node_action_s,
        node_memory_query=config.enact.node_memory_query,
        mig_configs=config.enact.mig_configs,
    )
