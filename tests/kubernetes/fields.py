"""Writes src/gpuwise/emulate/fields.json: the fields of the built-in kinds, and their types.

    python -m tests.kubernetes.fields

Source: the OpenAPI schemas of Kubernetes 1.36 in the package kubernetes-validate; only names and types are taken. Each
field maps to a string: "!" if the API always writes the field, then "[" for a list, "{" for a map, and the type;
"|key" after a list is the merge key of a strategic merge patch ("|" alone: a set of scalars).
"""

import json
from importlib.resources import files
from pathlib import Path
from typing import Any

OUT = Path(__file__).parents[2] / "src/gpuwise/emulate/fields.json"
KINDS = """
core.v1: Namespace Node Pod ConfigMap Event Service ServiceAccount ResourceQuota LimitRange
core.v1: PersistentVolumeClaim PersistentVolume
apps.v1: Deployment StatefulSet ReplicaSet DaemonSet ControllerRevision
batch.v1: Job CronJob
policy.v1: PodDisruptionBudget Eviction
autoscaling.v2: HorizontalPodAutoscaler
autoscaling.v1: Scale
coordination.v1: Lease
events.v1: Event
resource.v1: DeviceClass ResourceSlice ResourceClaim ResourceClaimTemplate
admissionregistration.v1: ValidatingAdmissionPolicy ValidatingAdmissionPolicyBinding ValidatingWebhookConfiguration
admissionregistration.v1: MutatingAdmissionPolicy MutatingAdmissionPolicyBinding
apiextensions.v1: CustomResourceDefinition
authorization.v1: SelfSubjectAccessReview SubjectAccessReview SelfSubjectRulesReview
authentication.v1: TokenReview SelfSubjectReview
"""
PLAIN = {
    "Quantity": "Quantity",
    "IntOrString": "IntOrString",
    "Time": "Time",
    "MicroTime": "MicroTime",
    "FieldsV1": "any",
    "RawExtension": "any",
    "JSON": "any",
    "JSONSchemaProps": "any",
}


def main() -> None:
    """Write the file."""
    schemas = files("kubernetes_validate") / "kubernetes-json-schema/v1.36.0-local/_definitions.json"
    definitions = json.loads(schemas.read_text())["$defs"]
    named = {_short(name): value for name, value in definitions.items()}
    left = [
        f"{group}.{kind}"
        for line in KINDS.split("\n")
        if line
        for group, _, kinds in [line.partition(": ")]
        for kind in kinds.split()
    ]
    found: dict[str, dict[str, str]] = {}
    while left:
        name = left.pop()
        if name in found:
            continue
        schema = named[name]
        required = schema.get("required", ())
        fields = {
            field: ("!" if field in required else "") + _type(value, left)
            for field, value in schema.get("properties", {}).items()
        }
        found[name] = fields
    lines = [f"{json.dumps(name)}: {json.dumps(found[name], separators=(',', ':'))}" for name in sorted(found)]
    OUT.write_text("{\n" + ",\n".join(lines) + "\n}\n")


def _short(name: str) -> str:
    parts = name.split(".")
    return ".".join(parts[-3:])


def _type(value: dict[str, Any], left: list[str]) -> str:
    kinds = value.get("type", ())
    kind = kinds if isinstance(kinds, str) else next((one for one in kinds if one != "null"), "")
    if "$ref" in value:
        name = _short(value["$ref"].rpartition("/")[2])
        plain = PLAIN.get(name.rpartition(".")[2])
        if plain is None:
            left.append(name)
        return plain or name
    if kind == "array":
        merges = "merge" in value.get("x-kubernetes-patch-strategy", "")
        key = "|" + value.get("x-kubernetes-patch-merge-key", "") if merges else ""
        return "[" + _type(value["items"], left) + key
    if kind == "object" and "additionalProperties" in value:
        return "{" + _type(value["additionalProperties"], left)
    if kind == "integer":
        return str(value.get("format", "int64"))
    return {"boolean": "bool", "number": "float64", "object": "any"}.get(kind, kind or "any")


if __name__ == "__main__":
    main()
