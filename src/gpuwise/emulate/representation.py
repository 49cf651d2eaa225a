"""The form of a response: JSON or YAML; the object itself, its metadata or a table."""

import json
import re
from dataclasses import dataclass
from typing import Any

import yaml

from gpuwise.emulate.status import ApiFailure, not_emulated

JSON, YAML, PROTOBUF = "application/json", "application/yaml", "application/vnd.kubernetes.protobuf"
_OFFERED = (JSON, YAML, PROTOBUF)
_FORMS = ("Table", "PartialObjectMetadata", "PartialObjectMetadataList")


@dataclass(frozen=True, slots=True)
class Representation:
    """The form that a client accepts.

    Attributes:
        media: JSON or YAML.
        form: "" for the object itself, or one of the types of meta.k8s.io.
        version: version of that type.
    """

    media: str = JSON
    form: str = ""
    version: str = "v1"

    def write(self, value: Any) -> bytes:
        """The body of the response."""
        if self.media == YAML:
            return yaml.safe_dump(value, sort_keys=True, default_flow_style=False, allow_unicode=True).encode()
        return json.dumps(value, separators=(",", ":"), ensure_ascii=False).encode()


PLAIN = Representation()


def negotiate(header: str, *, forms: bool, streams: bool = False) -> Representation:
    """Choose the form of the response.

    Args:
        header: the Accept header, "" if absent.
        forms: whether tables and metadata are available here.
        streams: whether this path supports watches.

    Raises:
        ApiFailure: 406, or 501 if only protobuf is accepted.
    """
    refused = False
    for clause in _clauses(header or "*/*"):
        media, parameters = clause[0], clause[1]
        if media not in (*_OFFERED, "*/*"):
            continue
        form = parameters.get("as", "")
        if not form:
            if media == PROTOBUF:
                raise not_emulated("answers in protobuf")
            return Representation(YAML if media == YAML else JSON)
        known = form in _FORMS and parameters.get("g") == "meta.k8s.io" and parameters.get("v") in ("v1", "v1beta1")
        if known and forms and media == JSON:
            return Representation(JSON, form, parameters["v"])
        refused = True
    accepted = ", ".join(_OFFERED)
    if refused:
        raise ApiFailure(406, f"only the following media types are accepted: {accepted}")
    if streams:
        accepted = ", ".join((*_OFFERED, *(f"{media};stream=watch" for media in (JSON, PROTOBUF))))
    raise ApiFailure(406, f"406: Not Acceptable\n\nAvailable representations: {accepted}", details={})


def _clauses(header: str) -> list[tuple[str, dict[str, str]]]:
    """The clauses of the header, by descending preference."""
    found: list[tuple[float, str, dict[str, str]]] = []
    for part in header.split(","):
        media, *rest = (piece.strip() for piece in part.split(";"))
        parameters = dict(piece.split("=", 1) for piece in rest if "=" in piece)
        match = re.fullmatch(r"\d(\.\d+)?", parameters.get("q", "1"))
        found.append((float(parameters.get("q", "1")) if match else 1.0, media, parameters))
    return [(media, parameters) for _, media, parameters in sorted(found, key=lambda one: -one[0])]
