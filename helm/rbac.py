"""Write the chart's files/rbac.yaml from the table in `gpuwise.model.rights`: `python helm/rbac.py`."""

from collections import defaultdict
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import yaml

from gpuwise.model import rights

FILE = Path(__file__).parent / "gpuwise" / "files" / "rbac.yaml"
_HEAD = "# Generated from src/gpuwise/model/rights.py by `python helm/rbac.py`.\n"


def rules(table: Iterable[rights.Right]) -> list[dict[str, Any]]:
    """Build RBAC rules; resources of one group with the same verbs and names share a rule."""
    resources: defaultdict[tuple[str, tuple[str, ...], tuple[str, ...]], list[str]] = defaultdict(list)
    for right in table:
        resources[right.group, right.verbs, right.names].append(right.resource)
    return [
        {"apiGroups": [group], "resources": found, "verbs": list(verbs)}
        | ({"resourceNames": list(names)} if names else {})
        for (group, verbs, names), found in resources.items()
    ]


def build() -> str:
    """Return the text of the file."""
    tables = {
        "read": rights.READ,
        "write": rights.WRITE,
        "nodes": rights.NODES,
        "evict": rights.EVICT,
        "head": rights.HEAD,
        "lead": rights.LEAD,
    }
    plain = {name: rules(table) for name, table in tables.items()}
    return _HEAD + yaml.safe_dump(plain, sort_keys=False)


if __name__ == "__main__":
    FILE.write_text(build())
