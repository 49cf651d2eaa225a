"""Device allocations from the kubelet's pod-resources socket (gRPC v1, List and Get)."""

from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path

from gpuwise.collect.attribution.allocation import Allocation
from gpuwise.collect.attribution.messages import GET_METHOD, LIST_METHOD, allocations, get_request
from gpuwise.collect.attribution.unary import CallFailed, Status, unary
from gpuwise.model.errors import SourceError

_TIMEOUT_S = 5.0
# The kubelet's own limit (podresources/constants.go, DefaultPodResourcesMaxSize).
_MOST_BYTES = 16 * 2**20
# A kubelet may not have Get (feature gate KubeletPodResourcesGet), and returns an error for a pod that does not exist.
_NO_ANSWER = frozenset({Status.UNIMPLEMENTED, Status.NOT_FOUND, Status.UNKNOWN})


@dataclass(frozen=True, slots=True)
class PodResources:
    """Client of the kubelet's pod-resources API; implements `Allocations`.

    Attributes:
        socket: path of the kubelet's socket.
        timeout_s: deadline of a call.
    """

    socket: Path
    timeout_s: float = _TIMEOUT_S

    def list(self) -> tuple[Allocation, ...]:
        """The devices of all containers.

        Raises:
            SourceError: the kubelet cannot be reached or returns an error; attribution is then unknown, not empty.
        """
        try:
            return self._call(LIST_METHOD, b"")
        except CallFailed as error:
            raise self._unavailable(error) from error

    def of_pod(self, namespace: str, pod: str) -> tuple[Allocation, ...]:
        """The devices of one pod; none if the kubelet has no such pod or does not implement Get.

        Raises:
            SourceError: the kubelet cannot be reached.
        """
        try:
            return self._call(GET_METHOD, get_request(namespace, pod))
        except CallFailed as error:
            if error.status in _NO_ANSWER:
                return ()
            raise self._unavailable(error) from error

    def _call(self, method: str, request: bytes) -> tuple[Allocation, ...]:
        answer = unary(self.socket, method, request, timeout_s=self.timeout_s, most_bytes=_MOST_BYTES)
        try:
            return _read(answer)
        except ValueError as error:  # of the text, UnicodeDecodeError
            raise CallFailed(Status.INTERNAL, f"the answer cannot be read: {error}") from error

    def _unavailable(self, error: CallFailed) -> SourceError:
        return SourceError(
            f"the kubelet's pod-resources socket {self.socket} does not answer: {error.status.name}",
            hint="mount /var/lib/kubelet/pod-resources into the exporter, or set --pod-resources-socket",
        )


# A kubelet returns the same bytes until a pod starts or ends: to read them again would take a tenth of a sweep.
@lru_cache(maxsize=1)
def _read(answer: bytes) -> tuple[Allocation, ...]:
    return tuple(allocations(answer))
