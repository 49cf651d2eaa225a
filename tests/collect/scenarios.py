"""Scenarios of the fake NVML, in the language of its scenario file."""

H100 = """\
gpu 0 name NVIDIA H100 80GB HBM3
gpu 0 uuid GPU-aaaa
gpu 0 total 85899345920
gpu 0 used 8589934592
gpu 0 util 37
gpu 0 power 312500
gpu 0 energy 123456789
gpu 0 processes 2
gpu 0 mig_mode 0
gpu 0 gpm.2 41.5
gpu 0 gpm.5 12.25
gpu 0 gpm.10 30
"""
SLICED = """\
gpu 0 name NVIDIA A100-SXM4-80GB
gpu 0 uuid GPU-bbbb
gpu 0 total 85899345920
gpu 0 used 1073741824
gpu 0 power 210000
gpu 0 processes 1
gpu 0 mig_mode 1
mig 0 0 name NVIDIA A100-SXM4-80GB MIG 1g.10gb
mig 0 0 uuid MIG-1111
mig 0 0 gpu_instance_id 7
mig 0 0 total 10737418240
mig 0 0 used 536870912
mig 0 0 processes 1
mig 0 0 gpm.2 88
mig 0 3 name NVIDIA A100-SXM4-80GB MIG 2c.3g.40gb
mig 0 3 uuid MIG-2222
mig 0 3 gpu_instance_id 2
mig 0 3 total 42949672960
mig 0 3 used 0
mig 0 3 processes 0
mig 0 3 gpm.2 0
"""
# A card shared by several containers, such as an L4 with time-slicing: no GPM, processes known.
SHARED = """\
gpu 0 name NVIDIA L4
gpu 0 uuid GPU-cccc
gpu 0 minor 0
gpu 0 total 24000000000
gpu 0 used 10000000000
gpu 0 util 80
gpu 0 power 60000
gpu 0 energy 1000000
process 0 101 4000000000 60
process 0 102 2000000000 15
process 0 103 1000000000 5
"""
_FIELDS = (74, 75, 76, 77, 78, 79, 38, 45, 52, 94, 138, 139, 197, 198)
_EVERYTHING = {
    "minor": 0, "pci": "00000000:1B:00.0", "reserved": 600_000_000, "memutil": 21, "encoder": 3, "decoder": 4,
    "fan": 30, "limit": 700_000, "temp": 61, "clock.0": 1980, "clock.1": 1980, "clock.2": 2619, "clock.3": 1545,
    "pstate": 0, "reasons": 4, "linkgen": 5, "linkwidth": 16, "ecc.0.0": 3, "ecc.0.1": 5, "ecc.1.0": 0, "ecc.1.1": 1,
    "ecc_mode": 1, "remap.0": 1, "remap.1": 0, "remap.2": 0, "remap.3": 0, "compute_mode": 0,
    "powermin": 200_000, "powermax": 700_000, "powerdefault": 700_000, "powerset": 650_000, "margin": 26, "sram": 0,
    **{f"maxclock.{clock}": mhz for clock, mhz in enumerate((1980, 1980, 2619, 1545))},
    **{f"threshold.{kind}": degrees for kind, degrees in enumerate((95, 92, 95, 87))},
    "repair.0": 0, "repair.1": 0, "throttle.0": 8_000, "throttle.1": 9_000, "throttle.2": 10_000,
    "field.82": 70, "field.91": 18, "field.59": 0, "field.29": 0, "field.30": 0, "field.31": 0, "field.230": 0,
    "field.186.1": 900_000, "field.186.2": 85_000, "gpm.60": 400, "gpm.61": 300,
    "gpm.1": 50, "gpm.3": 20, "gpm.20": 100, "gpm.21": 200, **{f"field.{number}": 7_000 for number in _FIELDS},
}  # fmt: skip
# A card with every value that NVML can report, and an XID error soon after the start.
FULL = (
    H100.replace("gpu 0 processes 2\n", "process 0 501 8000000000 40\n")
    + "".join(f"gpu 0 {key} {value}\n" for key, value in _EVERYTHING.items())
    + "event 0 79 0.1\n"
)


def moved(text: str, *, to: int) -> str:
    """The scenario of card 0, for another card."""
    for word in ("gpu", "mig", "process", "event"):
        text = text.replace(f"{word} 0 ", f"{word} {to} ")
    return text


def node(cards: int, instances: int) -> str:
    """A node of cards with every value, each split into this many MIG instances."""
    found = ""
    for card in range(cards):
        text = moved(FULL, to=card).replace("GPU-aaaa", f"GPU-{card:04d}").replace("mig_mode 0", "mig_mode 1")
        found += text.replace(f"gpu {card} minor 0", f"gpu {card} minor {card}")
        for slot in range(instances):
            keys = {
                "name": "NVIDIA H100 80GB HBM3 MIG 1g.10gb", "uuid": f"MIG-{card:04d}-{slot}",
                "gpu_instance_id": 7 + slot, "compute_instance_id": 0, "profile_id": 19, "start": slot, "size": 1,
                "total": 10_737_418_240, "used": 5_000_000_000,
                "gpm.1": 60, "gpm.2": 55, "gpm.3": 20, "gpm.5": 12, "gpm.10": 30,
            }  # fmt: skip
            found += "".join(f"mig {card} {slot} {key} {value}\n" for key, value in keys.items())
            found += f"process {card} {1000 * card + slot + 1} 4000000000 0 {7 + slot}\n"
    return found
