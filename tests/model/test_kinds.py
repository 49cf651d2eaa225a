"""The table of kinds, against the schemas that the projects publish.

Their CustomResourceDefinitions are not part of gpuwise: GPUWISE_CRDS names a folder of them, one or more per YAML file.
docs/kinds.md names the source of each.
"""

import os
from pathlib import Path

import pytest
import yaml
from tests.custom_kinds import CUSTOM, SCHEMAS

from gpuwise.enact.images import parts_of
from gpuwise.model.kinds import KINDS, QUEUED

FOLDER = os.environ.get("GPUWISE_CRDS")
STOPPED = {**CUSTOM, QUEUED.name: QUEUED}

pytestmark = pytest.mark.skipif(
    not FOLDER, reason="GPUWISE_CRDS names no folder of CustomResourceDefinitions: docs/kinds.md lists their sources"
)


@pytest.fixture(scope="module")
def published():
    """The published schemas by group, kind and version."""
    found = {}
    for file in sorted(Path(FOLDER).glob("*.yaml")):
        for item in yaml.load_all(file.read_text(), Loader=getattr(yaml, "CSafeLoader", yaml.SafeLoader)):
            if item and item["kind"] == "CustomResourceDefinition":
                spec = item["spec"]
                for version in spec["versions"]:
                    key = spec["group"], spec["names"]["kind"], version["name"]
                    found[key] = spec["names"]["plural"], version
    return found


@pytest.mark.parametrize("name", sorted(STOPPED))
def test_the_field_that_stops_a_kind_is_in_its_published_schema(published, name):
    kind = STOPPED[name]
    for version in kind.versions:
        plural, served = published[kind.group, kind.name, version]
        assert plural == kind.resource
        assert served["served"]
        for at, value in kind.stop.items():
            parts = parts_of(at)
            if parts[0] == "metadata":  # an annotation, which every object may have
                continue
            schema = served["schema"]["openAPIV3Schema"]
            for part in parts:
                schema = schema["properties"][part]
            assert schema["type"] == ("boolean" if isinstance(value, bool) else "integer")


@pytest.mark.parametrize("name", sorted(STOPPED))
def test_the_definitions_of_the_tests_have_the_published_fields_and_types(published, name):
    kind = STOPPED[name]
    _, served = published[kind.group, kind.name, kind.versions[0]]
    whole = served["schema"]["openAPIV3Schema"]["properties"]["spec"]["properties"]
    for field, schema in SCHEMAS[name].items():
        assert whole[field]["type"] == schema["type"], field


def test_the_kinds_that_are_refused_are_published_under_these_names(published):
    for kind in (one for one in KINDS.values() if one.refused and one.group == "ray.io"):
        assert all((kind.group, kind.name, version) in published for version in kind.versions)
