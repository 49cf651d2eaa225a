"""The boards of the synthetic node, with the values that each model reports.

Figures are from NVIDIA's data sheets; temperatures are typical ones.
"""

from dataclasses import dataclass

GIB, MHZ = 2.0**30, 1e6


@dataclass(frozen=True, slots=True)
class Model:
    """A board model.

    Attributes:
        name: NVML's product name.
        idle_watts: idle power draw.
        busy_watts: power draw at full load, and the default power limit.
        least_watts: lowest power limit that can be set.
        memory_gib: framebuffer size.
        sm_mhz: highest SM clock.
        memory_mhz: memory clock.
        pcie_generation: of the link.
        slowdown_celsius: at which the clocks are reduced.
        nvlinks: number of NVLinks.
        hopper: whether it has hardware counters, memory power and PCIe rates.
        module: whether it is a module with a CPU, which has a power draw of its own.
        fan: whether it has a fan.
        retires_pages: whether it retires memory pages; later models remap rows.
    """

    name: str
    idle_watts: float
    busy_watts: float
    least_watts: float
    memory_gib: float
    sm_mhz: float
    memory_mhz: float
    pcie_generation: int
    slowdown_celsius: float
    nvlinks: int = 0
    hopper: bool = False
    module: bool = False
    fan: bool = False
    retires_pages: bool = False


H200 = Model("NVIDIA H200", 75, 700, 200, 141, 1980, 3201, 5, 87, nvlinks=18, hopper=True)
GH200 = Model("NVIDIA GH200 480GB", 90, 900, 100, 96, 1980, 2619, 5, 87, nvlinks=18, hopper=True, module=True)
A100 = Model("NVIDIA A100-SXM4-80GB", 55, 400, 100, 80, 1410, 1593, 4, 89, nvlinks=12)
L4 = Model("NVIDIA L4", 12, 72, 40, 24, 2040, 6251, 4, 88)
T4 = Model("Tesla T4", 10, 70, 60, 15, 1590, 5001, 3, 93, retires_pages=True)
RTX_6000 = Model("NVIDIA RTX 6000 Ada Generation", 20, 300, 100, 48, 3105, 10001, 4, 87, fan=True)
