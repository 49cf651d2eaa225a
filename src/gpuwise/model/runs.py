"""Runs: work that ends, and succeeded or failed. Each object of these kinds is one run."""

from collections.abc import Mapping

RunEnds = Mapping[tuple[str, str], bool]
"""Whether a run succeeded, by its namespace and "Kind/name"; one that has not ended, or is not known, is absent."""

RUN_KINDS = (
    "Job", "JobSet", "PyTorchJob", "TFJob", "XGBoostJob", "PaddleJob", "JAXJob", "MPIJob", "TrainJob", "RayJob",
)  # fmt: skip
"""The listed kinds whose objects are runs. A CronJob creates a Job for each of its runs."""
