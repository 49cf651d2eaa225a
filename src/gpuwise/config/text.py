"""Configuration in YAML: each mistake in it is an error with its place, and no key may be there twice."""

from typing import Any

import yaml

from gpuwise.model.errors import InputError


def parsed(text: str, name: str, *, hint: str, form: str = "YAML") -> Any:
    """Return the value of a YAML or JSON text.

    Args:
        text: one document.
        name: of the file or variable, for the error.
        hint: what to do if it is not valid.
        form: what it should be, for the error.

    Raises:
        InputError: it is not valid YAML, or a key is there twice.
    """
    try:
        return yaml.load(text, _UniqueKeys)  # noqa: S506 - a subclass of SafeLoader
    except RecursionError as error:
        raise InputError(f"{name} is not valid {form}: it is nested too deeply", hint=hint) from error
    except (yaml.YAMLError, ValueError) as error:  # ValueError: a date that no calendar has, such as 2026-02-30
        raise InputError(f"{name} is not valid {form}: {' '.join(str(error).split())}", hint=hint) from error


class _UniqueKeys(yaml.SafeLoader):
    """Refuses a key that is there twice: of two sections `freezes` the first would be lost without a message."""

    def compose_mapping_node(self, anchor: Any) -> yaml.MappingNode:
        """Compose a mapping; merge keys (<<) are not resolved yet, so what they bring may be overridden."""
        node = super().compose_mapping_node(anchor)
        seen: set[str] = set()
        for key, _ in node.value:
            if isinstance(key, yaml.ScalarNode) and key.value in seen:
                raise yaml.composer.ComposerError(None, None, f"the key {key.value} is there twice", key.start_mark)
            if isinstance(key, yaml.ScalarNode):
                seen.add(key.value)
        return node
