"""Load the configuration: flags override the environment, which overrides the file, which overrides the defaults."""

import dataclasses
import typing
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from pydantic import TypeAdapter, ValidationError

from gpuwise.config.home import expanded
from gpuwise.config.keys import POLICY, fields, form, kinds, nearest, variable, wanted
from gpuwise.config.sections import Config
from gpuwise.config.text import parsed
from gpuwise.decide.settings import DecideSettings
from gpuwise.model.errors import InputError

_HIDDEN_KEYS = "prometheus.headers"


def load(file: Path | None, environment: Mapping[str, str], flags: Mapping[str, Any]) -> Config:
    """Load the configuration from file, environment and flags.

    Args:
        file: YAML file, or None.
        environment: environment variables; unknown names are ignored.
        flags: values by dotted key; None means that the flag was not given.

    Raises:
        InputError: a value is not valid; the error names the file, variable or flag, the key and the hint.
    """
    tree: dict[str, Any] = {}
    origins: dict[str, str] = {}
    for key, value in _of_file(file).items():
        _plant(tree, origins, key, value, str(file))
    policy = _policy_file(flags.get("policy_file"), environment.get(variable("policy_file")), tree.get("policy_file"))
    if policy is not None:
        _only_one_policy(origins, file, policy)
        for key, value in _of_file(policy, DecideSettings, "--policy or policy_file").items():
            _plant(tree, origins, f"{POLICY}{key}", value, str(policy))
    for key, kind in kinds().items():
        name = variable(key)
        if name in environment:
            _plant(tree, origins, key, _of_text(environment[name], kind, name), f"environment variable {name}")
    for key, value in flags.items():
        if value is not None:
            _plant(tree, origins, key, value, "the command line")
    return _typed(tree, origins)


def _policy_file(*given: Any) -> Path | None:
    """Return the first path that is given, None without one. A value of another type is an error of its key."""
    found = next((one for one in given if isinstance(one, str | Path) and str(one)), None)
    return None if found is None else expanded(Path(found), "policy_file")


def _only_one_policy(origins: Mapping[str, str], file: Path | None, policy: Path) -> None:
    key = next((key for key in origins if key.startswith(POLICY)), None)
    if key is not None:
        problem = f"{file} has {key}, and the policy is in {policy}"
        raise InputError(problem, hint=f"move the section `policy` of {file} to {policy}, or do not name the file")


def _of_text(text: str, kind: Any, name: str) -> Any:
    """Return the value of an environment variable: YAML or JSON for lists and tables, else the text itself."""
    if typing.get_origin(kind) not in (tuple, dict, Mapping) or not text.lstrip().startswith(("[", "{", "- ")):
        listed = typing.get_origin(kind) is tuple and typing.get_args(kind)[0] is str
        return [one.strip() for one in text.split(",") if one.strip()] if listed else text
    hint = "write it as in the file, on one line: [{KEY: VALUE}]"
    return parsed(text, f"environment variable {name}", hint=hint, form="JSON or YAML")


def _of_file(file: Path | None, settings: type = Config, flag: str = "--config") -> dict[str, Any]:
    if file is None:
        return {}
    try:
        text = file.read_text()
    except OSError as error:
        raise InputError(f"cannot read {file}: {error.strerror}", hint=f"check {flag}") from error
    except UnicodeDecodeError as error:
        raise InputError(f"{file} is not valid YAML: {error}", hint="save it as UTF-8") from error
    tree = parsed(text, str(file), hint="fix the line that the message names")
    if tree is None:
        return {}
    if not isinstance(tree, dict):
        raise InputError(f"{file} is not a mapping", hint="write `key: value` lines; see docs/configuration.md")
    if settings is DecideSettings and isinstance(tree.get("policy"), dict):
        raise InputError(f"{file} is a configuration, not a policy", hint="use --config, or keep its section `policy`")
    return dict(_flat(tree, str(file), settings))


def _flat(tree: dict[Any, Any], file: str, settings: type = Config, prefix: str = "") -> Iterator[tuple[str, Any]]:
    known = fields(settings)
    for name, value in tree.items():
        key = f"{prefix}{name}"
        if name not in known:
            raise InputError(f"{file}: unknown key {key}", hint=nearest(key, settings))
        if dataclasses.is_dataclass(known[name]) and isinstance(value, dict):
            yield from _flat(value, file, typing.cast("type", known[name]), f"{key}.")
        elif dataclasses.is_dataclass(known[name]):
            inner = ", ".join(fields(typing.cast("type", known[name])))
            raise InputError(f"{file}: {key} is a section, not a value", hint=f"set its keys: {inner}")
        else:
            _no_truth_values(known[name], value, f"{file}: {key}")
            yield key, value


def _no_truth_values(kind: Any, value: Any, where: str) -> None:
    """Refuse a truth value for a number, also in lists and tables: yes and off of YAML 1.1 would count as 1 and 0."""
    inner = typing.get_args(kind)
    if isinstance(value, bool) and _is_number(kind):
        problem = f"{where} is {value}: it is not a number"
        raise InputError(problem, hint="write a number; YAML reads yes, no, on and off as truth values")
    if isinstance(value, list) and typing.get_origin(kind) is tuple:
        for number, one in enumerate(value):
            _no_truth_values(inner[0], one, f"{where}.{number}")
    elif isinstance(value, dict) and dataclasses.is_dataclass(kind):
        of = fields(typing.cast("type", kind))
        for name in value.keys() & of.keys():
            _no_truth_values(of[name], value[name], f"{where}.{name}")
    elif isinstance(value, dict) and typing.get_origin(kind) in (Mapping, dict):
        for name, one in value.items():
            _no_truth_values(inner[1], one, f"{where}.{name}")


def _is_number(kind: Any) -> bool:
    """Whether values of a type are numbers, or numbers and nothing."""
    return kind in (int, float) or any(one in (int, float) for one in typing.get_args(kind))


def _plant(tree: dict[str, Any], origins: dict[str, str], key: str, value: Any, origin: str) -> None:
    *path, last = key.split(".")
    for name in path:
        tree = tree.setdefault(name, {})
    tree[last] = value
    origins[key] = origin


def _typed(tree: dict[str, Any], origins: Mapping[str, str]) -> Config:
    try:
        return TypeAdapter(Config).validate_python(tree)
    except ValidationError as error:
        raise _first_problem(error, tree, origins) from error


def _first_problem(error: ValidationError, tree: dict[str, Any], origins: Mapping[str, str]) -> InputError:
    first = error.errors()[0]
    where = ".".join(map(str, first["loc"]))
    key = next((one for one in origins if where.startswith(one)), where)
    origin = origins.get(key, "the configuration")
    # The keys of a policy file are those of the section.
    shown_where = where.removeprefix(POLICY) if origin == str(tree.get("policy_file")) else where
    page = f"docs/{_page(key)} describes {key}"
    hint = f"give it {wanted(key)}" if where == key else f"{page}{form(key)}"
    message = first["msg"].removeprefix("Value error, ")
    if first["type"] == "unexpected_keyword_argument":
        return InputError(f"{origin}: unknown key {shown_where}", hint=hint)
    if first["type"] == "value_error" and not isinstance(first["input"], str):  # it says what is wrong, and where
        return InputError(f"{origin}: {shown_where}: {message}", hint=page)
    if first["type"] == "dataclass_type":
        message = "it must be a table"
    shown = "not shown" if key.startswith(_HIDDEN_KEYS) else repr(first["input"])
    return InputError(f"{origin}: {shown_where} is {shown}: {message[:1].lower()}{message[1:]}", hint=hint)


def _page(key: str) -> str:
    return "policy.md" if key.startswith(POLICY) else "configuration.md"
