"""What other people and controllers do to a world."""

from tests.faults.points import Fault
from tests.faults.signals import BAD
from tests.faults.targets import NAMESPACE, Subject

from gpuwise.emulate.objects import budget
from gpuwise.emulate.resources import NAMESPACES, PODS
from gpuwise.model.labels import DO_NOT_DISRUPT


class People:
    """People and controllers; what they do is noted as an intervention.

    Args:
        world: in which they act.
    """

    def __init__(self, world) -> None:
        self._world = world

    def others(self, fault: Fault) -> None:
        """Carry out what other people or controllers do; nothing for another fault."""
        acts = {
            Fault.EDIT: self.edit,
            Fault.PROTECT: self.protect,
            Fault.PROTECT_NAMESPACE: self.protect_namespace,
            Fault.DISRUPTION_BUDGET: self.add_budget,
            Fault.RECREATE: self.recreate,
            Fault.DELETE: self.delete,
            Fault.REVERT: self.revert,
            Fault.BREACH: self.breach,
            Fault.SILENCE: self.silence,
        }
        if fault in acts:
            acts[fault](self._world.any_subject())

    def edit(self, subject: Subject) -> None:
        """A person changes the object: its replicas, or a label."""

        def changed(item):
            if subject.kind in ("Deployment", "StatefulSet"):
                return item | {"spec": item["spec"] | {"replicas": item["spec"]["replicas"] + 1}}
            return _annotated(item, {"example.com/edited": str(self._world.next_seq())})

        self._update(subject, changed, "edits")

    def protect(self, subject: Subject) -> None:
        """A person protects the object; of a node that is drained, its pods or their owner."""
        if subject.owner and self._world.rng.random() < 0.5:
            self._protect_pods(subject)
            return
        if self._update(subject, lambda item: _annotated(item, {DO_NOT_DISRUPT: "true"}), "protects", subject.guarded):
            self._world.guarded.workload.setdefault(subject.guarded, self._world.next_seq())

    def _protect_pods(self, subject: Subject) -> None:
        store = self._world.cluster.store
        for pod in [one for one in store.all(PODS) if one["spec"].get("nodeName") == subject.name]:
            key = pod["metadata"]["namespace"], pod["metadata"]["name"]
            store.update(PODS, *key, lambda item: _annotated(item, {DO_NOT_DISRUPT: "true"}), manager="kubectl")
        self._intervened(f"somebody protects the pods on {subject.name}")

    def protect_namespace(self, _subject: Subject) -> None:
        """A person protects the namespace."""
        marked = {DO_NOT_DISRUPT: "true"}
        store = self._world.cluster.store
        store.update(NAMESPACES, "", NAMESPACE, lambda item: _annotated(item, marked), manager="kubectl")
        self._intervened("somebody protects the namespace")
        self._world.guarded.namespace = self._world.guarded.namespace or self._world.next_seq()

    def add_budget(self, subject: Subject) -> None:
        """A person adds a PodDisruptionBudget that allows no disruption; its controller sets the status later."""
        app, cluster = subject.guarded.rpartition("/")[2], self._world.cluster
        path = f"/apis/policy/v1/namespaces/{NAMESPACE}/poddisruptionbudgets/keep-{app}"
        counted = any(f"/{plural}/" in subject.guarded for plural in ("deployments", "statefulsets"))
        if not counted or cluster.peek(path) is not None:
            return
        cluster.store.load([budget(f"keep-{app}", app=app, namespace=NAMESPACE, minAvailable="100%")])
        cluster.settle()
        self._intervened(f"somebody adds a PodDisruptionBudget for {app}")
        if cluster.peek(path)["status"].get("expectedPods"):
            self._world.guarded.budgets[subject.guarded] = self._world.next_seq()

    def recreate(self, subject: Subject) -> None:
        """Somebody deletes the object and creates another one of the same name."""
        self.delete(subject)
        self._world.cluster.store.load([subject.make(self._world.new_uid(subject.name))])
        self._intervened(f"somebody creates {subject.name} again")
        self._world.settle()

    def delete(self, subject: Subject) -> None:
        """Somebody deletes the object."""
        if self._world.cluster.peek(subject.path) is not None:
            self._world.cluster.delete(subject.path)
            self._world.cluster.settle()
        if subject.guarded == subject.path:
            self._world.guarded.workload.pop(subject.path, None)
            self._world.guarded.budgets.pop(subject.path, None)
        self._intervened(f"somebody deletes {subject.name}")

    def revert(self, subject: Subject) -> None:
        """A controller writes the fields that it knows, and leaves annotations that it does not know."""
        made = self._world.made[subject.path]

        def changed(item):
            annotations = dict(item["metadata"].get("annotations") or {})
            annotations.pop("kubeflow-resource-stopped", None)
            return item | {"spec": made["spec"], "metadata": item["metadata"] | {"annotations": annotations}}

        self._update(subject, changed, "reverts")

    def breach(self, subject: Subject) -> None:
        """The signal of an object leaves its bounds."""
        self._world.signals[subject.name] = BAD
        self._intervened(f"the signal of {subject.name} is bad")

    def silence(self, subject: Subject) -> None:
        """The signal of an object is silent."""
        self._world.signals[subject.name] = None
        self._intervened(f"the signal of {subject.name} is silent")

    def _update(self, subject: Subject, change, what: str, path: str = "") -> bool:
        target = self._world.cluster.target("GET", path or subject.path)
        resource = self._world.cluster.api.kept(target)
        if self._world.cluster.store.peek(resource, target.namespace, target.name) is None:
            return False
        self._world.cluster.store.update(resource, target.namespace, target.name, change, manager="kubectl")
        self._intervened(f"somebody {what} {subject.name}")
        self._world.settle()
        return True

    def _intervened(self, text: str) -> None:
        self._world.interventions.append(text)
        self._world.note(text)


def _annotated(item, annotations):
    metadata = item["metadata"]
    return item | {"metadata": metadata | {"annotations": (metadata.get("annotations") or {}) | annotations}}
