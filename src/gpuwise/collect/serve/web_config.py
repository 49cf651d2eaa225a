"""TLS and basic authentication by exporter-toolkit's web-config file, read again when it changes.

Form: github.com/prometheus/exporter-toolkit, docs/web-configuration.md. Keys that are known there and not kept here
are an error: a file that asks for more protection than it gets would mislead.
"""

import logging
import re
import ssl
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

from gpuwise.model.errors import InputError

_log = logging.getLogger(__name__)

_HASH = re.compile(r"^\$2[aby]\$\d\d\$[./A-Za-z0-9]{53}$")
_VERSIONS = {
    "TLS12": ssl.TLSVersion.TLSv1_2,
    "TLS13": ssl.TLSVersion.TLSv1_3,
}
_CLIENTS = {
    "NoClientCert": ssl.CERT_NONE,
    "VerifyClientCertIfGiven": ssl.CERT_OPTIONAL,
    "RequireAndVerifyClientCert": ssl.CERT_REQUIRED,
}
_FILE_KEYS = ("cert_file", "key_file", "client_ca_file")
_TLS_KEYS = frozenset({"cert_file", "key_file", "client_auth_type", "client_ca_file", "min_version", "max_version"})
_KEYS = frozenset({"tls_server_config", "basic_auth_users"})


@dataclass(frozen=True, slots=True)
class WebConfig:
    """How clients are let in.

    Attributes:
        tls: what connections are wrapped with, None for plain HTTP.
        users: bcrypt hash of each user's password, by name; empty lets everybody in.
        files: that it was read from.
    """

    tls: ssl.SSLContext | None
    users: Mapping[str, str]
    files: tuple[Path, ...] = ()


def load(path: Path) -> WebConfig:
    """Read a web-config file.

    Args:
        path: of the file; paths in it are relative to its folder.

    Raises:
        InputError: it cannot be read as meant, or names a file that cannot.
    """
    try:
        told = yaml.safe_load(path.read_text(encoding="utf-8")) or {}
    except (OSError, UnicodeDecodeError, yaml.YAMLError) as error:
        said = " ".join(str(error).split())
        raise InputError(
            f"web config {path} cannot be read: {said}", hint="name a YAML file in exporter-toolkit's form"
        ) from error
    _known(path, told, _KEYS, "")
    tls: Any = told.get("tls_server_config")
    users = _users(path, told.get("basic_auth_users") or {})
    context = _tls(path, tls)
    named = [path.parent / tls[key] for key in _FILE_KEYS if tls.get(key)] if context else []
    return WebConfig(context, users, (path, *named))


def _known(path: Path, told: Any, keys: frozenset[str], under: str) -> None:
    if not isinstance(told, dict):
        raise InputError(
            f"web config {path}: {under.rstrip('.') or 'the file'} is no mapping", hint="write keys with values"
        )
    for key in told:
        if key not in keys:
            allowed = ", ".join(sorted(keys))
            raise InputError(f"web config {path}: {under}{key} is not supported", hint=f"what is: {allowed}")


def _users(path: Path, told: Any) -> dict[str, str]:
    if not isinstance(told, dict):
        raise InputError(f"web config {path}: basic_auth_users is no mapping", hint="write user: hash")
    for user, hashed in told.items():
        if not isinstance(hashed, str) or not _HASH.match(hashed):
            raise InputError(
                f"web config {path}: basic_auth_users.{user} is no bcrypt hash",
                hint="make one by: htpasswd -nBC 10 USER",
            )
    return {str(user): hashed for user, hashed in told.items()}


def _tls(path: Path, told: Any) -> ssl.SSLContext | None:
    if told is None:
        return None
    _known(path, told, _TLS_KEYS, "tls_server_config.")
    for key in ("cert_file", "key_file"):
        if not told.get(key):
            raise InputError(f"web config {path}: tls_server_config.{key} is missing", hint="name a PEM file")
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.minimum_version = _one_of(path, told, "min_version", _VERSIONS, "TLS12")
    context.maximum_version = _one_of(path, told, "max_version", _VERSIONS, "TLS13")
    clients = _one_of(path, told, "client_auth_type", _CLIENTS, "NoClientCert")
    try:
        context.load_cert_chain(path.parent / told["cert_file"], path.parent / told["key_file"])
        if told.get("client_ca_file"):
            context.load_verify_locations(path.parent / told["client_ca_file"])
    except (OSError, ssl.SSLError) as error:
        raise InputError(f"web config {path}: tls_server_config: {error}", hint="name readable PEM files") from error
    if clients is not ssl.CERT_NONE and not told.get("client_ca_file"):
        hint = "name the authority whose clients are let in"
        raise InputError(f"web config {path}: tls_server_config.client_ca_file is missing", hint=hint)
    context.verify_mode = clients
    return context


def _one_of(path: Path, told: Any, key: str, known: Mapping[str, Any], default: str) -> Any:
    value = told.get(key, default)
    if value not in known:
        allowed = ", ".join(known)
        raise InputError(
            f"web config {path}: tls_server_config.{key} is {value!r}", hint=f"what is supported: {allowed}"
        )
    return known[value]


class WebConfigFile:
    """A web-config file that may change while it is in force, as certificates do.

    Args:
        path: of the file, None for neither TLS nor authentication.

    Raises:
        InputError: it cannot be read as meant now.
    """

    def __init__(self, path: Path | None) -> None:
        self._path = path
        self._read = WebConfig(None, {}) if path is None else load(path)
        self._stamp = self._changed()

    def current(self) -> WebConfig:
        """What is in force; a change that cannot be read as meant leaves the last one that could."""
        stamp = self._changed()
        if self._path is not None and stamp != self._stamp:
            self._stamp = stamp
            try:
                self._read = load(self._path)
            except InputError as error:
                _log.warning("the web config that was read before stays in force: %s", error)
        return self._read

    def _changed(self) -> tuple[int, ...]:
        """When each of the files last changed; a certificate is renewed without the file that names it."""
        try:
            return tuple(file.stat().st_mtime_ns for file in self._read.files)
        except OSError:  # being replaced
            return (-1,)
