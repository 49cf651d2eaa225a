"""Which nodes can attach the volumes of a pod.

Source of the rules: the Kubernetes scheduler's plug-ins VolumeBinding (node affinity of a PersistentVolume) and
VolumeZone (its zone and region labels), and the attach-detach controller's check whether several nodes may attach a
volume (IsMultiAttachAllowed). How many volumes a node can attach (CSINode) is not read.
"""

from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from contextlib import suppress

from gpuwise.model.labels import REGION_LABEL, ZONE_LABEL
from gpuwise.model.ports import Object
from gpuwise.model.scheduling import Requirement
from gpuwise.sources.kubernetes.listings import VOLUME_COLLECTIONS
from gpuwise.sources.kubernetes.node_terms import Terms, terms_of
from gpuwise.sources.kubernetes.unread import READ_ERRORS

# Volumes of a pod that are available on each node; a volume with no source is an emptyDir.
_ON_EVERY_NODE = frozenset(
    {"azureFile", "cephfs", "configMap", "csi", "downwardAPI", "emptyDir", "gitRepo", "glusterfs", "image", "name"}
    | {"nfs", "projected", "secret"}
)
_OF_ITS_NODE = "the pod uses a volume of its node"
_ON_SEVERAL_NODES = frozenset({"ReadWriteMany", "ReadOnlyMany"})
# Labels of volumes, with the newer label that nodes may have instead.
_TOPOLOGY = {
    ZONE_LABEL: None,
    REGION_LABEL: None,
    "failure-domain.beta.kubernetes.io/zone": ZONE_LABEL,
    "failure-domain.beta.kubernetes.io/region": REGION_LABEL,
}

Reach = Sequence[Terms] | str
"""The conditions on a node that can attach all volumes of a pod; a text says why they are not known."""


class Volumes:
    """The claims and volumes of a cluster, and the pods that use them.

    Args:
        objects: objects by kind. An absent kind of VOLUME_COLLECTIONS is one that gpuwise cannot list: a right is
            missing, or the API does not serve it.
    """

    def __init__(self, objects: Mapping[str, list[Object]]) -> None:
        self._not_listed = [path for kind, path in VOLUME_COLLECTIONS.items() if kind not in objects]
        self._claims = {_key(item): item for item in objects.get("PersistentVolumeClaim", ())}
        self._volumes = {item["metadata"]["name"]: item for item in objects.get("PersistentVolume", ())}
        self._users = _users(objects.get("Pod", ()))

    def reach(self, pod: Object) -> Reach:
        """Return which nodes can attach all volumes of a pod.

        A claim or volume that is unknown, unbound or unreadable makes it unknown.
        """
        found: list[Terms] = []
        for volume in (pod.get("spec") or {}).get("volumes") or ():
            claim = _claim_of(volume, pod)
            if claim is not None:
                reach = self._of_claim(claim, pod)
            elif "hostPath" in volume:
                reach = _OF_ITS_NODE
            else:
                reach = () if volume.keys() <= _ON_EVERY_NODE else f"its volume {volume['name']} is of an unknown type"
            if isinstance(reach, str):
                return reach
            found += reach
        return found

    def _of_claim(self, name: str, pod: Object) -> Reach:
        if self._not_listed:
            missing = " and ".join(path.rpartition("/")[2] for path in self._not_listed)
            return f"the pod uses a PersistentVolumeClaim, and gpuwise cannot list {missing}: no right, or not served"
        claim = self._claims.get((str(pod["metadata"].get("namespace", "")), name))
        if claim is None:
            return f"its PersistentVolumeClaim {name} was not found"
        with suppress(*READ_ERRORS):
            return self._of_volume(claim, pod)
        return f"its PersistentVolumeClaim {name} or the volume of it cannot be read"

    def _of_volume(self, claim: Object, pod: Object) -> Reach:
        what, volume_name = f"its PersistentVolumeClaim {claim['metadata']['name']}", claim["spec"].get("volumeName")
        phase = (claim.get("status") or {}).get("phase")
        if phase == "Lost":
            return f"{what} has lost its volume"
        if phase != "Bound" or not volume_name:
            return f"{what} is not bound to a volume"
        if claim["metadata"].get("deletionTimestamp"):
            return f"{what} is being deleted"
        volume = self._volumes.get(volume_name)
        if volume is None:
            return f"{what} is bound to the PersistentVolume {volume_name}, which was not found"
        others = self._users[_key(claim)] - {_key(pod)}
        if others and not _ON_SEVERAL_NODES.intersection(volume["spec"].get("accessModes") or ()):
            return f"{what} is also used by {min(others)[1]}, and only one node at a time can attach its volume"
        return _attached_by(volume)


def _attached_by(volume: Object) -> Reach:
    """Return the conditions on a node that can attach a PersistentVolume."""
    spec = volume["spec"]
    required = (spec.get("nodeAffinity") or {}).get("required")
    if required is None and ("hostPath" in spec or "local" in spec):
        return _OF_ITS_NODE
    zones = _zones(volume["metadata"].get("labels") or {})
    return [*([] if required is None else [terms_of(required)]), *zones]


def _zones(labels: Mapping[str, str]) -> Iterator[Terms]:
    for label, newer in _TOPOLOGY.items():
        if label in labels:
            values = tuple(labels[label].split("__"))  # a disk that is replicated in two zones: "eu-1a__eu-1b"
            same = (Requirement(label, "In", values),)
            no_older = Requirement(label, "DoesNotExist", ())
            yield (same,) if newer is None else (same, (no_older, Requirement(newer, "In", values)))


def _claim_of(volume: Object, pod: Object) -> str | None:
    """Return the name of a volume's claim, None if it has none."""
    if "persistentVolumeClaim" in volume:
        return str(volume["persistentVolumeClaim"]["claimName"])
    # Kubernetes creates the claim of a generic ephemeral volume under this name.
    return f"{pod['metadata']['name']}-{volume['name']}" if "ephemeral" in volume else None


def _users(pods: Sequence[Object]) -> Mapping[tuple[str, str], set[tuple[str, str]]]:
    """Return the pods that have not ended, by the claims that they use."""
    found: dict[tuple[str, str], set[tuple[str, str]]] = defaultdict(set)
    for pod in pods:
        with suppress(*READ_ERRORS):  # a pod that cannot be read is reported with the workloads
            if (pod.get("status") or {}).get("phase") not in ("Succeeded", "Failed"):
                for volume in (pod.get("spec") or {}).get("volumes") or ():
                    claim = _claim_of(volume, pod)
                    if claim is not None:
                        found[_key(pod)[0], claim].add(_key(pod))
    return found


def _key(item: Object) -> tuple[str, str]:
    metadata = item["metadata"]
    return str(metadata.get("namespace", "")), str(metadata["name"])
