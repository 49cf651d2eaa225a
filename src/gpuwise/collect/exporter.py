"""The whole exporter: one thread samples, other threads serve, until it is stopped."""

import ctypes
import gc
import logging
import threading

from gpuwise.collect.attribution.attributor import Attributor
from gpuwise.collect.attribution.containers import ContainersByCgroup
from gpuwise.collect.attribution.pod_resources import PodResources
from gpuwise.collect.nvml import Nvml
from gpuwise.collect.reading import Devices
from gpuwise.collect.sampler import Sampler
from gpuwise.collect.serve.http import serving
from gpuwise.collect.serve.page import Page
from gpuwise.collect.serve.web_config import WebConfigFile
from gpuwise.collect.settings import Backend, ExporterSettings
from gpuwise.model.errors import DeviceError, GpuwiseError

_log = logging.getLogger(__name__)

# Of glibc's malloc.h.
_M_ARENA_MAX = -8


def run_exporter(settings: ExporterSettings, stop: threading.Event) -> None:
    """Sample and serve until the stop event is set.

    Args:
        settings: what to sample and where to serve.
        stop: set by a signal handler.

    Raises:
        DeviceError: there is no NVIDIA driver, the driver was replaced by another version, or sampling failed.
        InputError: the address cannot be bound, or the web config cannot be read.
    """
    web_config = WebConfigFile(settings.web_config)
    devices, attributor = backend(settings)
    sampler = Sampler(devices, attributor, interval_s=settings.interval_s)
    page = Page(sampler, node=settings.node, compat=settings.compat, max_series=settings.max_series)
    sampling = _Sampling(sampler, page, stop)
    _save_memory()
    with serving(sampler, page, listen=settings.listen, web_config=web_config) as port:
        _log.info("serving /metrics on port %d", port)
        sampling.start()
        while sampling.is_alive() and not stop.wait(settings.interval_s):
            pass
    sampling.join(timeout=settings.interval_s)
    # A sweep that hangs in the driver must not keep the process alive or block NVML's lock: its thread is a daemon.
    if not sampling.is_alive():
        devices.close()
    if sampling.failure is not None:
        raise sampling.failure


def backend(settings: ExporterSettings) -> tuple[Devices, Attributor | None]:
    """The source of readings, and the attributor for them.

    Raises:
        DeviceError: there is no NVIDIA driver.
    """
    if settings.backend is Backend.DEMO:
        from gpuwise.collect.demo import demo  # noqa: PLC0415 - nodes never need it

        return demo()
    owner_of = ContainersByCgroup(settings.host_proc, settings.container_links)
    socket = settings.pod_resources_socket
    attributor = None if socket is None else Attributor(PodResources(socket), owner_of)
    return Nvml(settings.nvml_library), attributor


def _save_memory() -> None:
    """Have glibc keep less memory that nothing uses; musl keeps none.

    One arena for all threads: each connection has a thread, and glibc would give it an arena of its own (4 MiB for 30
    connections). Memory that imports have freed goes back to the system (8 MiB).
    """
    gc.collect()
    libc = ctypes.CDLL(None)
    if hasattr(libc, "mallopt") and hasattr(libc, "malloc_trim"):
        libc.mallopt(_M_ARENA_MAX, 1)
        libc.malloc_trim(0)


class _Sampling(threading.Thread):
    """The thread that sweeps.

    Attributes:
        failure: why the thread ended without being stopped, None otherwise.
    """

    def __init__(self, sampler: Sampler, page: Page, stop: threading.Event) -> None:
        super().__init__(name="sampler", daemon=True)
        self._sampler = sampler
        self._page = page
        self._stop_sampling = stop
        self.failure: GpuwiseError | None = None

    def run(self) -> None:
        try:
            self._sampler.run(self._stop_sampling, then=self._page.render)  # so that scrapes do not wait
        except GpuwiseError as error:
            self.failure = error
        except Exception as error:  # noqa: BLE001 - restarting is better than running without samples
            _log.exception("sampling failed")
            self.failure = DeviceError(f"sampling failed: {error!r}", hint="restart the exporter")
