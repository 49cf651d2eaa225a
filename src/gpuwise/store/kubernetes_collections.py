"""Where each kind that an inventory needs is listed."""

COLLECTIONS = {
    "Node": "/api/v1/nodes",
    "Pod": "/api/v1/pods",
    "Namespace": "/api/v1/namespaces",
    "Deployment": "/apis/apps/v1/deployments",
    "StatefulSet": "/apis/apps/v1/statefulsets",
    "ReplicaSet": "/apis/apps/v1/replicasets",
    "Job": "/apis/batch/v1/jobs",
    "PodDisruptionBudget": "/apis/policy/v1/poddisruptionbudgets",
    "HorizontalPodAutoscaler": "/apis/autoscaling/v2/horizontalpodautoscalers",
}
"""Kinds that every cluster serves, by their collection."""

OPTIONAL_COLLECTIONS = {
    "ScaledObject": "/apis/keda.sh/v1alpha1/scaledobjects",
    "Notebook": "/apis/kubeflow.org/v1/notebooks",
    "InferenceService": "/apis/serving.kserve.io/v1beta1/inferenceservices",
}
"""Kinds that are there only where their operator is installed."""
