"""Where tasks run."""

import sys
from contextlib import ExitStack

from gpuwise.config import Config, ScheduleConfig
from gpuwise.model.errors import InputError
from gpuwise.model.ports import Executor
from gpuwise.schedule.limits import Limits
from gpuwise.wiring.sources import prometheus


def executor(config: Config, stack: ExitStack) -> Executor:
    """Return the executor of scoring tasks.

    Raises:
        InputError: a secret in the configuration would be sent to the workers of Ray.
        SourceError: the Ray cluster cannot be joined.
    """
    if config.schedule.executor == "ray" and config.recording is None and prometheus(config).settings.holds_secret:
        raise InputError(
            "prometheus.url or prometheus.headers contains a secret, which workers of Ray would get",
            hint="put it in a file: prometheus.password_file, bearer_token_file or header_files",
        )
    return workers(config.schedule, stack)


def workers(given: ScheduleConfig, stack: ExitStack) -> Executor:
    """Return the executor of work that needs no secret.

    Raises:
        SourceError: the Ray cluster cannot be joined.
    """
    if given.executor == "local":
        from gpuwise.schedule.in_process import InProcess  # noqa: PLC0415

        return InProcess()
    from gpuwise.schedule.on_ray import RayExecutor  # noqa: PLC0415

    limits = Limits(item_s=given.item_timeout_s, total_s=given.timeout_s, tries=given.tries)
    return stack.enter_context(RayExecutor(given.ray_address, given.workers, limits=limits, notify=_warn))


def _warn(text: str) -> None:
    sys.stderr.write(f"warning: {text}\n")
