"""The GPU type of a cloud's instance type, for nodes that no label names a GPU of.

AWS: "Accelerated computing" in the EC2 instance type guide. Google: "GPU machine types" of Compute Engine. Azure: "GPU
accelerated" VM sizes. Instances with a part of a GPU (AWS g6f, Azure NVads A10 v5) are not in the table.
"""

import re

from gpuwise.model.gpu import GpuType, named

_TYPES: tuple[tuple[str, str], ...] = (
    (r"p3dn\.", "V100-32GB"),
    (r"p3\.", "V100-16GB"),
    (r"p4d\.", "A100-40GB"),
    (r"p4de\.", "A100-80GB"),
    (r"p5\.", "H100-80GB"),
    (r"p5en?\.", "H200-141GB"),
    (r"p6-b200\.", "B200-180GB"),
    (r"p6-b300\.", "B300-269GB"),
    (r"g4dn\.", "T4"),
    (r"g5\.", "A10G"),
    (r"gr?6\.", "L4"),
    (r"g6e\.", "L40S"),
    (r"a2-(high|mega)gpu-", "A100-40GB"),
    (r"a2-ultragpu-", "A100-80GB"),
    (r"a3-(high|mega|edge)gpu-", "H100-80GB"),
    (r"a3-ultragpu-", "H200-141GB"),
    (r"a4-highgpu-", "B200-180GB"),
    (r"a4x-highgpu-", "GB200-186GB"),
    (r"g2-standard-", "L4"),
    (r"Standard_NC\d+s_v3", "V100-16GB"),
    (r"Standard_ND40rs_v2", "V100-32GB"),
    (r"Standard_NC\d+as_T4_v3", "T4"),
    (r"Standard_ND96asr_(A100_)?v4", "A100-40GB"),
    (r"Standard_ND96amsr_A100_v4", "A100-80GB"),
    (r"Standard_NC\d+ads_A100_v4", "A100-80GB"),
    (r"Standard_ND96isr_H100_v5", "H100-80GB"),
    (r"Standard_NC\d+adi?s_H100_v5", "H100-94GB"),
    (r"Standard_ND96isr_H200_v5", "H200-141GB"),
)


def gpu_of_instance(instance_type: str) -> GpuType | None:
    """Return the GPU type of an instance type, None if it is not in the table."""
    return next((named(gpu) for pattern, gpu in _TYPES if re.match(pattern, instance_type)), None)
