"""What Ray's errors mean for a person: one line with the cause, and what to do about it."""

from gpuwise.model.errors import SourceError

_IMAGE = "use gpuwise's image for every node of the cluster (docs/ray.md)"
_AUTHENTICATION = "set RAY_AUTH_MODE=token and RAY_AUTH_TOKEN_PATH to the file with the cluster's token"
_MEANINGS = (
    # Part of the error's type and text, what happened, what to do.
    ("AuthenticationError", "the token is missing or wrong", _AUTHENTICATION),
    ("Unauthenticated", "the token is missing or wrong", _AUTHENTICATION),
    ("No module named 'gpuwise", "gpuwise is not installed there", _IMAGE),
    ("ModuleNotFoundError", "a package is missing there", _IMAGE),
    ("Version mismatch", "it runs another version of Ray or Python", _IMAGE),
    ("RuntimeEnvSetupError", "its runtime environment could not be set up", "see the error in Ray's log of that node"),
    ("OutOfMemoryError", "the worker used more memory than the node has", "lower observe.shard_workloads"),
    ("OutOfDiskError", "its disk is full", "free space in Ray's folder for temporary files"),
    ("ObjectStoreFullError", "its object store is full", "give Ray a larger object store"),
    ("NodeDiedError", "the node stopped or was cut off", "check the node; the work is tried on another one"),
    ("TaskUnschedulableError", "the node stopped or was cut off", "check the node; the work is tried on another one"),
    ("WorkerCrashedError", "the worker process was killed", "check the node's memory and Ray's log of that node"),
    ("LocalRayletDiedError", "Ray on this machine stopped", "start Ray on this machine again"),
    ("ObjectLostError", "a result was lost with its node", "check the node; the work is tried on another one"),
    ("OwnerDiedError", "a result was lost with its node", "check the node; the work is tried on another one"),
    ("ActorDiedError", "the process that places the work stopped", "check Ray's log"),
    ("ActorUnavailableError", "the process that places the work cannot be reached", "check the network to the cluster"),
    ("RaySystemError", "Ray failed", "check that the head of the cluster runs"),
    ("ConnectionError", "it cannot be reached", "check --ray-address, and that the head of the cluster runs"),
    ("ValueError", "the address is not valid", "give --ray-address as HOST:PORT or ray://HOST:PORT"),
)  # fmt: skip


def meaning(error: BaseException) -> tuple[str, str]:
    """Return what an error of Ray means, and the hint.

    Args:
        error: what Ray raised.
    """
    text = f"{' '.join(kind.__name__ for kind in type(error).__mro__)}: {error}"
    found = next(((cause, hint) for part, cause, hint in _MEANINGS if part in text), None)
    if found is not None:
        return found
    return f"{type(error).__name__}: {first_line(error)}", "check Ray's log, or use --executor local"


def failed(what: str, error: BaseException) -> SourceError:
    """Return the error of the loop for an error of Ray.

    Args:
        what: what was tried: "joining Ray at 10.0.0.1:6379", "shard 3 on node a".
        error: what Ray raised.
    """
    cause, hint = meaning(error)
    return SourceError(f"{what} failed: {cause}", hint=hint)


def first_line(error: BaseException) -> str:
    """Return the first line of an error's text."""
    return next(iter(str(error).strip().splitlines()), type(error).__name__)
