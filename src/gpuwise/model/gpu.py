"""GPU types: how to parse a product string, the size of each GPU, and its MIG profiles.

MIG names, sizes and placements: NVIDIA's MIG User Guide, "Supported MIG Profiles", and `nvidia-smi mig -lgipp`, which
prints placements as {starts}:width in memory slices. Board power, dense FP16 tensor TFLOPS and memory bandwidth:
NVIDIA's data sheets (SXM where there are several forms).
"""

import re
from dataclasses import dataclass, field

GIB = 2**30
COMPUTE_SLICES = 7
_BOARD_STEP_GB = 8


@dataclass(frozen=True, slots=True)
class MigProfile:
    """The shape of one kind of MIG instance.

    Attributes:
        name: NVIDIA's name, as in the resource `nvidia.com/mig-1g.10gb`.
        compute_slices: how many of the GPU's compute slices (7; on A30, 4) it uses.
        memory_bytes: framebuffer of the instance.
        memory_slices: how many adjacent memory slices of the GPU (8; on A30, 4) it uses.
        starts: memory slices at which an instance may begin, ascending; instances at different starts do not overlap.
    """

    name: str
    compute_slices: int
    memory_bytes: int
    memory_slices: int
    starts: tuple[int, ...]

    @property
    def per_card(self) -> int:
        """How many instances of this profile one GPU has if it has no others."""
        return len(self.starts)

    @property
    def resource(self) -> str:
        """The extended resource under which the NVIDIA device plugin (strategy "mixed") offers it."""
        return f"nvidia.com/mig-{self.name}"


@dataclass(frozen=True, slots=True)
class GpuType:
    """One GPU product.

    Attributes:
        name: canonical short name, the key of price files: "A100-80GB".
        memory_bytes: framebuffer.
        board_watts: default power limit of the board.
        idle_ratio: share of board_watts below which a GPU with an open context does no work; small boards idle
            at a larger share (L4 and T4 draw 25-35 W of 70 with a context open).
        tflops: dense FP16 tensor TFLOPS.
        memory_gb_s: memory bandwidth, GB/s.
        mig_profiles: smallest first; empty if the GPU does not support MIG.
    """

    name: str
    memory_bytes: int
    board_watts: float
    idle_ratio: float
    tflops: float
    memory_gb_s: float
    mig_profiles: tuple[MigProfile, ...] = field(default=())

    def __hash__(self) -> int:
        """That of the name: types are keys of many dicts, and the hash of all MIG profiles takes 5 µs."""
        return hash(self.name)

    @property
    def compute_slices(self) -> int:
        """How many compute slices the whole GPU has."""
        return max((profile.compute_slices for profile in self.mig_profiles), default=COMPUTE_SLICES)

    def mig_profile(self, name: str) -> MigProfile | None:
        """The profile of that name, or None if this GPU does not have it."""
        return next((profile for profile in self.mig_profiles if profile.name == name), None)

    @property
    def board_memory_gb(self) -> int:
        """Memory of the board as it is sold, by which vGPU profiles divide it: 48 GB of an L40S that reports 45 GiB."""
        return -(-self.memory_bytes // (_BOARD_STEP_GB * GIB)) * _BOARD_STEP_GB


# Compute slices, memory slices and starts of each MIG profile, smallest first. The second 1g is the profile with double
# memory ("1g.20gb" on A100-80GB): four of it fit in eight memory slices.
_OF_SEVEN = (
    (1, 1, (0, 1, 2, 3, 4, 5, 6)),
    (1, 2, (0, 2, 4, 6)),
    (2, 2, (0, 2, 4)),
    (3, 4, (0, 4)),
    (4, 4, (0,)),
    (7, 8, (0,)),
)
_OF_FOUR = ((1, 1, (0, 1, 2, 3)), (2, 2, (0, 2)), (4, 4, (0,)))  # A30


def _profiles(*gigabytes: int) -> tuple[MigProfile, ...]:
    """The profiles of a GPU from the gigabytes in their names, in the order of `_OF_SEVEN` or `_OF_FOUR`."""
    shapes = _OF_SEVEN if len(gigabytes) == len(_OF_SEVEN) else _OF_FOUR
    return tuple(
        MigProfile(f"{compute}g.{gb}gb", compute, gb * GIB, memory, starts)
        for (compute, memory, starts), gb in zip(shapes, gigabytes, strict=True)
    )


GPU_TYPES: tuple[GpuType, ...] = (
    GpuType("T4", 15 * GIB, 70, 0.5, 65, 320),
    GpuType("L4", 23 * GIB, 72, 0.5, 121, 300),
    GpuType("A10G", 23 * GIB, 300, 0.3, 70, 600),
    GpuType("L40S", 45 * GIB, 350, 0.3, 362, 864),
    GpuType("V100-16GB", 16 * GIB, 300, 0.25, 125, 900),
    GpuType("V100-32GB", 32 * GIB, 300, 0.25, 125, 900),
    GpuType("A30", 24 * GIB, 165, 0.3, 165, 933, _profiles(6, 12, 24)),
    GpuType("A100-40GB", 40 * GIB, 400, 0.25, 312, 1555, _profiles(5, 10, 10, 20, 20, 40)),
    GpuType("A100-80GB", 80 * GIB, 400, 0.25, 312, 2039, _profiles(10, 20, 20, 40, 40, 80)),
    GpuType("H100-80GB", 80 * GIB, 700, 0.25, 989, 3350, _profiles(10, 20, 20, 40, 40, 80)),
    GpuType("H100-94GB", 94 * GIB, 400, 0.25, 835, 3938, _profiles(12, 24, 24, 47, 47, 94)),
    GpuType("H100-96GB", 96 * GIB, 700, 0.25, 989, 3350, _profiles(12, 24, 24, 48, 48, 96)),
    # The module may draw up to 1,000 W including the CPU; 700 W is the GPU's share and keeps the idle threshold low.
    GpuType("GH200-96GB", 96 * GIB, 700, 0.25, 989, 4000, _profiles(12, 24, 24, 48, 48, 96)),
    GpuType("H200-141GB", 141 * GIB, 700, 0.25, 989, 4800, _profiles(18, 35, 35, 71, 71, 141)),
    GpuType("B200-180GB", 180 * GIB, 1000, 0.25, 2250, 8000, _profiles(23, 45, 45, 90, 90, 180)),
    GpuType("GB200-186GB", 186 * GIB, 1200, 0.25, 2500, 8000, _profiles(23, 47, 47, 93, 93, 186)),
    GpuType("B300-269GB", 269 * GIB, 1100, 0.25, 2250, 8000, _profiles(34, 67, 67, 135, 135, 269)),
)

_BY_NAME = {gpu.name: gpu for gpu in GPU_TYPES}
_PRODUCT = re.compile(r"\b(T4|L40S|L4|A10G|V100|A30|A100|GH200|H100|H200|GB200|B200|B300)\b")
_MEMORY = re.compile(r"(\d+)\s*G(?:B|i|\b)", re.IGNORECASE)


def gpu_type(product: str) -> GpuType | None:
    """Find the GPU type that a product string names, or None if the type is not known.

    Args:
        product: GPU feature discovery's `nvidia.com/gpu.product` ("NVIDIA-A100-SXM4-80GB"), NVML's name
            ("NVIDIA A100-SXM4-80GB") or a canonical name ("A100-80GB").
    """
    if (part := vgpu(product)) is not None:
        return part[0]
    # In "NVIDIA-H200-MIG-1g.18gb" the end names the slice; the 480 GB in "GH200 480GB" is the CPU's memory.
    words = product.replace("-", " ").replace("_", " ").partition(" MIG ")[0].replace("GH200 480GB", "GH200 96GB")
    model = _PRODUCT.search(words)
    if model is None:
        return None
    candidates = [gpu for gpu in GPU_TYPES if gpu.name.split("-")[0] == model[1]]
    size = _MEMORY.search(words)
    if size is not None:
        return next((gpu for gpu in candidates if gpu.name in (model[1], f"{model[1]}-{size[1]}GB")), None)
    if model[1] == "H100":  # the only product whose form gives its memory: NVL has 94 GB, SXM5 and PCIe have 80
        return named("H100-94GB" if "NVL" in words else "H100-80GB")
    # The GH200 exists with 96 and with 144 GB: without a size in the name the type is unknown, not the smaller one.
    return candidates[0] if len(candidates) == 1 and model[1] != "GH200" else None


# "1g.10gb", "1g.10gb+me" (media extensions; the device plugin writes "." for "+"), and "1c.3g.40gb", a compute instance
# of one slice in an instance of three: MIG User Guide, "MIG Device Names".
_SLICE = re.compile(r"(?:(?P<compute>\d+)c\.)?(?P<profile>(?P<slices>\d+)g\.\d+gb)(?:[.+](?:me|gfx))*(?:\.shared)?")


def mig_share(name: str, gpu: GpuType | None) -> float | None:
    """What part of a card a MIG instance is: the larger of its compute and memory shares; None for another name.

    A compute instance has its part of the compute slices of its GPU instance, whose memory it shares. For a card or a
    profile that is not known, the compute slices of the name count.

    Args:
        name: profile, with the suffixes of the device plugin's resources.
        gpu: the card.
    """
    instance = _SLICE.fullmatch(name)
    if instance is None:
        return None
    profile = gpu.mig_profile(instance["profile"]) if gpu else None
    slices = int(instance["slices"])
    if gpu is None or profile is None:
        share = slices / (gpu.compute_slices if gpu else COMPUTE_SLICES)
    else:
        memory_slices = max(one.memory_slices for one in gpu.mig_profiles)
        share = max(profile.compute_slices / gpu.compute_slices, profile.memory_slices / memory_slices)
    return min(1.0, share) * (int(instance["compute"]) / slices if instance["compute"] else 1.0)


# The end of a vGPU's product: "NVIDIA L40S-12Q" has 12 GB of the board, "GRID A100-1-5C" is MIG-backed: 1g.5gb. The
# letter is the series: Q vWS, C compute, A applications, B vPC (NVIDIA vGPU software, "Virtual GPU Types").
_VGPU = re.compile(r"(?P<board>[A-Z]+\d+[A-Z]*)-(?:(?P<slices>\d)-)?(?P<gb>\d+)[QCAB](?:ME)?$")
# Names of boards in vGPU types: A100-20C is a part of the 40 GB board, A100D-20C of the 80 GB one.
_VGPU_BOARDS = {"A100": "A100-40GB", "A100D": "A100-80GB", "A100DX": "A100-80GB", "V100D": "V100-32GB"}
_VGPU_BOARDS |= {"V100": "V100-16GB", "H100": "H100-80GB", "H100XM": "H100-80GB", "H100L": "H100-94GB"}


def vgpu(product: str) -> tuple[GpuType | None, float] | None:
    """The board of a vGPU and which part of the board it is; None for a product that is not a vGPU.

    Args:
        product: as for `gpu_type`.
    """
    found = _VGPU.search(product.strip())
    if found is None:
        return None
    board = named(_VGPU_BOARDS.get(found["board"], "")) or gpu_type(found["board"])
    if board is None:
        return None, 1.0
    if found["slices"]:
        return board, mig_share(f"{found['slices']}g.{found['gb']}gb", board) or 1.0
    return board, min(1.0, int(found["gb"]) / board.board_memory_gb)


def named(name: str) -> GpuType | None:
    """The GPU type of that canonical name, or None."""
    return _BY_NAME.get(name)
