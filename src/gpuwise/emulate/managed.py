"""managedFields: who wrote an object last, by name; the fields of each are not told."""

from gpuwise.emulate.status import Object


def with_manager(item: Object, *, manager: str, subresource: str, now: str) -> Object:
    """The object with its writer on record.

    Args:
        item: as it is to be written.
        manager: the writer's name, cut at the 128 characters that the API allows.
        subresource: "" or the one written.
        now: RFC 3339.
    """
    entry = {
        "manager": manager[:128],
        "operation": "Update",
        "apiVersion": item["apiVersion"],
        "time": now,
        "fieldsType": "FieldsV1",
        "fieldsV1": {},
    }
    if subresource:
        entry["subresource"] = subresource
    others = [
        other
        for other in item["metadata"].get("managedFields") or []
        if (other["manager"], other.get("subresource", "")) != (entry["manager"], subresource)
    ]
    return item | {"metadata": item["metadata"] | {"managedFields": [*others, entry]}}
