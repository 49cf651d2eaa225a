"""Validation of names, label keys and label values, with the messages of apimachinery's validation package."""

import re

DNS_LABEL = r"[a-z0-9]([-a-z0-9]*[a-z0-9])?"
_SUBDOMAIN = rf"{DNS_LABEL}(\.{DNS_LABEL})*"
_QUALIFIED = r"([A-Za-z0-9][-A-Za-z0-9_.]*)?[A-Za-z0-9]"
_VALUE = r"(([A-Za-z0-9][-A-Za-z0-9_.]*)?[A-Za-z0-9])?"
LABEL_VALUE = re.compile(_VALUE)

_ALPHA = "alphanumeric characters, '-', '_' or '.', and must start and end with an alphanumeric character"
_NAME_PART = f"(e.g. 'MyName',  or 'my.name',  or '123-abc', regex used for validation is '{_QUALIFIED}')"


def subdomain_problem(name: str) -> list[str]:
    """Problems of the name of most objects."""
    problems = ["must be no more than 253 characters"] if len(name) > 253 else []
    if not re.fullmatch(_SUBDOMAIN, name):
        problems.append(
            "a lowercase RFC 1123 subdomain must consist of lower case alphanumeric characters, '-' or '.', and must"
            " start and end with an alphanumeric character (e.g. 'example.com', regex used for validation is"
            r" '[a-z0-9]([-a-z0-9]*[a-z0-9])?(\.[a-z0-9]([-a-z0-9]*[a-z0-9])?)*')"
        )
    return problems


def dns_label_problem(name: str) -> list[str]:
    """Problems of the name of a container or a namespace."""
    problems = ["must be no more than 63 bytes"] if len(name) > 63 else []
    if not re.fullmatch(DNS_LABEL, name):
        problems.append(
            "a lowercase RFC 1123 label must consist of lower case alphanumeric characters or '-', and must start and"
            " end with an alphanumeric character (e.g. 'my-name',  or '123-abc', regex used for validation is"
            f" '{DNS_LABEL}')"
        )
    return problems


def key_problem(key: str) -> str | None:
    """The first problem of a label or annotation key, None if it is valid."""
    problems = key_problems(key)
    return problems[0] if problems else None


def key_problems(key: str) -> list[str]:
    """All problems of a label or annotation key."""
    prefix, slash, name = key.rpartition("/")
    if "/" in prefix:
        what = f"{_ALPHA} {_NAME_PART} with an optional DNS subdomain prefix and '/'"
        return [f"a valid label key must consist of {what} (e.g. 'example.com/MyName')"]
    problems = []
    if slash and not prefix:
        problems.append("prefix part must be non-empty")
    elif slash:
        problems += [f"prefix part {problem}" for problem in subdomain_problem(prefix)]
    if not name:
        problems.append("name part must be non-empty")
    elif len(name) > 63:
        problems.append("name part must be no more than 63 bytes")
    if not re.fullmatch(_QUALIFIED, name):
        problems.append(f"name part must consist of {_ALPHA} {_NAME_PART}")
    return problems


def value_problem(value: str) -> str | None:
    """The problem of a label value, None if it is valid."""
    if len(value) > 63:
        return "must be no more than 63 bytes"
    if LABEL_VALUE.fullmatch(value):
        return None
    return (
        f"a valid label must be an empty string or consist of {_ALPHA}"
        f" (e.g. 'MyValue',  or 'my_value',  or '12345', regex used for validation is '{_VALUE}')"
    )
