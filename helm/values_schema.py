"""Write the chart's values.schema.json: `python helm/values_schema.py`.

The keys of `policy` and `config` are those of gpuwise's configuration, so that helm rejects a misspelt key before a pod
fails to start.
"""

import dataclasses
import json
import types
import typing
from collections.abc import Mapping
from datetime import date, time
from enum import StrEnum
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

from gpuwise.config import Config
from gpuwise.delivery.settings import ReportSettings
from gpuwise.model.command import Mode

FILE = Path(__file__).parent / "gpuwise" / "values.schema.json"

Schema = dict[str, Any]

TEXT: Schema = {"type": "string"}
NAME: Schema = {"type": "string", "minLength": 1}
FLAG: Schema = {"type": "boolean"}
PORT: Schema = {"type": "integer", "minimum": 1, "maximum": 65535}
FREE: Schema = {"type": "object"}
LABELS: Schema = {"type": "object", "additionalProperties": {"type": ["string", "null"]}}
ANNOTATIONS: Schema = {"type": "object", "additionalProperties": TEXT}
DNS_LABEL: Schema = {"type": "string", "pattern": "^[a-z0-9]([-a-z0-9]{0,61}[a-z0-9])?$"}
OURS = [f"app.kubernetes.io/{name}" for name in ("name", "instance", "component", "version", "part-of", "managed-by")]
OWN_LABELS: Schema = {**ANNOTATIONS, "propertyNames": {"not": {"enum": [*OURS, "helm.sh/chart"]}}}
_CHARTS_OWN = {
    "cluster_name",
    "recording",
    "policy_file",
    "prices",
    "grid",
    "prometheus",
    "kubernetes",
    "policy",
    "ledger",
}
"""Keys of the configuration that have their own chart values, or do not apply in a cluster."""
_CHARTS_OWN |= {"service.listen", "service.token_file", "policy.mode", "prometheus.url", "prometheus.bearer_token_file"}
_CHARTS_OWN |= {"report.time_zone", "report.email", "report.slack", "report.teams", "report.email.password_file"}
# The Role of the Lease names both.
_CHARTS_OWN |= {"lead.namespace", "lead.name"}


def section(properties: Mapping[str, Schema], **more: Any) -> Schema:
    """Return the schema of an object that has only these properties."""
    return {"type": "object", "additionalProperties": False, "properties": dict(properties), **more}


def several(items: Schema, **more: Any) -> Schema:
    """Return the schema of a list."""
    return {"type": "array", "items": items, **more}


def choice(*values: Any) -> Schema:
    """Return the schema of one of these values."""
    return {"enum": list(values)}


NAMED = {"type": "object", "required": ["name"], "properties": {"name": NAME}}
SECRET_KEY = section({"name": TEXT, "key": NAME})
AMOUNTS: Schema = {"type": ["object", "null"], "additionalProperties": {"type": ["string", "number", "null"]}}
RESOURCES = section({"requests": AMOUNTS, "limits": AMOUNTS, "claims": several(FREE)})
TOLERATIONS = several(
    section(
        {
            "key": TEXT,
            "operator": choice("Exists", "Equal"),
            "value": TEXT,
            "effect": choice("NoSchedule", "PreferNoSchedule", "NoExecute"),
            "tolerationSeconds": {"type": "integer"},
        }
    )
)
SERVICE_ACCOUNT = section({"create": FLAG, "name": TEXT, "annotations": ANNOTATIONS})
CSV = section({"csv": TEXT, "existingConfigMap": TEXT, "key": {"type": "string", "pattern": "^[-._a-zA-Z0-9]+$"}})
_ID: Schema = {"type": ["integer", "null"], "minimum": 0}
POD_SECURITY: Schema = {
    "type": "object",
    "properties": {
        "runAsNonRoot": {"type": ["boolean", "null"]},
        "runAsUser": _ID,
        "runAsGroup": _ID,
        "fsGroup": _ID,
        "seccompProfile": {"type": ["object", "null"]},
    },
}
EXTRAS: Mapping[str, Schema] = {
    "extraEnv": several(NAMED),
    "extraVolumes": several(NAMED),
    "extraVolumeMounts": several({**NAMED, "required": ["name", "mountPath"]}),
}
ENFORCED: Schema = {
    "allOf": [DNS_LABEL, {"not": {"enum": ["kube-system", "kube-public", "kube-node-lease"]}}],
}
MOUNTED_SECRET: Schema = {**DNS_LABEL, "maxLength": 56}

VALUES: Mapping[str, Schema] = {
    "nameOverride": {"type": "string", "pattern": "^([a-z0-9]([-a-z0-9]*[a-z0-9])?)?$"},
    "fullnameOverride": {"type": "string", "pattern": "^([a-z]([-a-z0-9]*[a-z0-9])?)?$"},
    "global": FREE,
    "commonLabels": OWN_LABELS,
    "podLabels": OWN_LABELS,
    "image": section(
        {
            "repository": TEXT,
            "tag": TEXT,
            "pullPolicy": choice("Always", "IfNotPresent", "Never"),
            "pullSecrets": several(section({"name": NAME}, required=["name"])),
        }
    ),
    "mode": choice(*Mode),
    "clusterName": NAME,
    "enforce": section({"namespaces": several(ENFORCED, uniqueItems=True)}),
    "prometheus": section(
        {
            "url": {"type": "string", "pattern": "^(https?://.+)?$"},
            "bearerTokenSecret": SECRET_KEY,
            "settings": FREE,
            "secrets": several(MOUNTED_SECRET, uniqueItems=True),
        },
        required=["url"],
    ),
    "prices": CSV,
    "grid": CSV,
    # More than one needs ledger.postgresql: a template rejects it with a message that says so.
    "replicas": {"type": "integer", "minimum": 0},
    "ledger": section(
        {
            "postgresql": section(
                {
                    "url": {"type": "string", "pattern": "^(postgresql(\\+psycopg)?://[^:/@]+@.+)?$"},
                    "passwordSecret": SECRET_KEY,
                }
            )
        }
    ),
    "service": section(
        {
            "type": choice("ClusterIP", "NodePort", "LoadBalancer"),
            "annotations": ANNOTATIONS,
            "port": PORT,
            "tokenSecret": SECRET_KEY,
            "resources": RESOURCES,
            "nodeSelector": LABELS,
            "tolerations": TOLERATIONS,
            "podAnnotations": ANNOTATIONS,
        }
    ),
    "nodeSelector": LABELS,
    "tolerations": TOLERATIONS,
    "affinity": FREE,
    "priorityClassName": TEXT,
    **EXTRAS,
    "podSecurityContext": POD_SECURITY,
    "openshift": FLAG,
    "serviceAccount": SERVICE_ACCOUNT,
    "persistence": section(
        {
            "enabled": FLAG,
            "existingClaim": TEXT,
            "storageClass": TEXT,
            "size": {"type": "string", "pattern": "^[0-9]+(Mi|Gi|Ti)$"},
        }
    ),
    "report": section(
        {
            "enabled": FLAG,
            "schedule": {"type": "string", "minLength": 6},
            "timeZone": {"type": "string", "pattern": "^([A-Za-z0-9_+/-]+)?$"},
            "email": section({"settings": FREE, "passwordSecret": SECRET_KEY}),
            "slack": section({"webhookUrlSecret": SECRET_KEY}),
            "eachTeam": FLAG,
            "teams": FREE,
            "secrets": several(MOUNTED_SECRET, uniqueItems=True),
            "resources": RESOURCES,
            "serviceAccount": SERVICE_ACCOUNT,
        }
    ),
    "exporter": section(
        {
            "enabled": FLAG,
            "image": section(
                {"repository": TEXT, "tag": TEXT, "pullPolicy": choice("", "Always", "IfNotPresent", "Never")}
            ),
            "namespace": {"anyOf": [choice(""), DNS_LABEL]},
            "createNamespace": FLAG,
            "port": PORT,
            "interval": {"type": "number", "minimum": 0.1},
            "compat": choice("none", "dcgm"),
            "maxSeries": {"type": "integer", "minimum": 1},
            "podResourcesPath": {"type": "string", "pattern": "^/"},
            "runAsUser": _ID,
            "podSecurityContext": POD_SECURITY,
            "sharedGpus": section({"enabled": FLAG}),
            "webConfig": section({"secret": TEXT, "tls": FLAG}),
            "runtimeClassName": TEXT,
            "nodeSelector": LABELS,
            "affinity": FREE,
            "tolerations": TOLERATIONS,
            "priorityClassName": TEXT,
            "resources": RESOURCES,
            "podAnnotations": ANNOTATIONS,
            **EXTRAS,
            "serviceAccount": SERVICE_ACCOUNT,
        }
    ),
    "serviceMonitor": section(
        {
            "enabled": FLAG,
            "interval": {"type": "string", "pattern": "^[0-9]+(ms|s|m)$"},
            "labels": ANNOTATIONS,
            "honorLabels": FLAG,
            "exporterEndpoint": FREE,
        }
    ),
    "prometheusRule": section(
        {"enabled": FLAG, "labels": ANNOTATIONS, "runbookUrl": {"type": "string", "pattern": "^https?://[^#]+$"}}
    ),
    "grafana": section({"dashboards": section({"enabled": FLAG, "labels": LABELS, "annotations": ANNOTATIONS})}),
    "ray": section(
        {
            "enabled": FLAG,
            "tokenSecret": SECRET_KEY,
            "head": section({"resources": RESOURCES}),
            "workers": section({"replicas": {"type": "integer", "minimum": 0}, "resources": RESOURCES}),
        }
    ),
    "networkPolicy": section({"enabled": FLAG, "egressPorts": several(PORT)}),
}


def of_settings(settings: type, prefix: str = "") -> Schema:
    """Return the schema of a settings dataclass of gpuwise."""
    kinds = typing.get_type_hints(settings).items()
    known = {name: kind for name, kind in kinds if f"{prefix}{name}" not in _CHARTS_OWN}
    needed = [one.name for one in dataclasses.fields(settings) if _has_no_default(one) and one.name in known]
    more = {"required": needed} if needed else {}
    return section({name: of_type(kind, f"{prefix}{name}.") for name, kind in known.items()}, **more)


def _has_no_default(field: dataclasses.Field[Any]) -> bool:
    return field.default is dataclasses.MISSING and field.default_factory is dataclasses.MISSING


def of_type(kind: Any, prefix: str = "") -> Schema:
    """Return the schema of a value of a type in a file; a type that is not listed here accepts any value."""
    if dataclasses.is_dataclass(kind):
        return of_settings(typing.cast("type", kind), prefix)
    if typing.get_origin(kind) is types.UnionType:
        return {"anyOf": [of_type(part) for part in typing.get_args(kind)]}
    if typing.get_origin(kind) is typing.Literal:
        return choice(*typing.get_args(kind))
    if isinstance(kind, type) and issubclass(kind, StrEnum):
        return choice(*kind)
    arguments = typing.get_args(kind)
    if typing.get_origin(kind) is tuple and arguments[1:] == (...,):
        return several(of_type(arguments[0]))
    if typing.get_origin(kind) in (dict, Mapping):
        return {"type": "object", "additionalProperties": of_type(arguments[1])}
    names = {date: "string", time: "string", ZoneInfo: "string"}
    names |= {bool: "boolean", int: "integer", float: "number", str: "string", Path: "string", types.NoneType: "null"}
    names |= {tuple: "array", list: "array", frozenset: "array"}
    known = names.get(typing.get_origin(kind) or kind)
    return {"type": known} if known else {}


def with_section(schema: Schema, name: str, inner: Schema) -> Schema:
    """Return the schema of an object in which one property has another schema."""
    return schema | {"properties": schema["properties"] | {name: inner}}


def with_settings(schema: Schema, settings: Schema) -> Schema:
    """Return the schema of a value whose `settings` are keys of gpuwise's configuration."""
    return with_section(schema, "settings", settings)


def build() -> str:
    """Return the text of the file."""
    settings = of_settings(Config)
    policy = of_type(typing.get_type_hints(Config)["policy"], "policy.")
    # The schema accepts `mode`; a template then rejects it with a message that names the value to use.
    policy["properties"]["mode"] = {}
    usage = of_type(typing.get_type_hints(Config)["prometheus"], "prometheus.")
    hints = typing.get_type_hints(ReportSettings, include_extras=False)
    email = with_settings(VALUES["report"]["properties"]["email"], of_type(hints["email"], "report.email."))
    report = with_section(VALUES["report"], "email", email)
    values = {
        **VALUES,
        "prometheus": with_settings(VALUES["prometheus"], usage),
        "report": with_section(report, "teams", of_type(hints["teams"], "report.teams.")),
    }
    schema = {
        "$schema": "http://json-schema.org/draft-07/schema#",
        "title": "gpuwise",
        **section({**values, "policy": policy, "config": settings}, required=["prometheus", "mode"]),
    }
    return json.dumps(schema, indent=2) + "\n"


if __name__ == "__main__":
    FILE.write_text(build())
