"""TLS and basic authentication from a web-config file of Prometheus' exporter-toolkit, reloaded when it changes.

Format: github.com/prometheus/exporter-toolkit, docs/web-configuration.md. Keys of that format that are not supported
here are an error: the file would request more protection than it gets.
"""

import logging
import re
import ssl
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

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
    """How connections are encrypted and clients are authenticated.

    Attributes:
        tls: the TLS context of connections, None for plain HTTP.
        users: bcrypt hash of each user's password, by name; if empty, every client is accepted.
        files: the files that the configuration was read from.
    """

    tls: ssl.SSLContext | None
    users: Mapping[str, str]
    files: tuple[Path, ...] = ()


def load(path: Path) -> WebConfig:
    """Read a web-config file.

    Args:
        path: of the file; paths in the file are relative to its directory.

    Raises:
        InputError: the file, or a file that it names, cannot be read or is invalid.
    """
    import yaml  # noqa: PLC0415 - 2 MiB, and few exporters have such a file

    try:
        section = yaml.safe_load(path.read_text(encoding="utf-8")) or {}
    except (OSError, UnicodeDecodeError, yaml.YAMLError) as error:
        reason = " ".join(str(error).split())
        raise InputError(
            f"web config {path} cannot be read: {reason}", hint="name a YAML file in the format of exporter-toolkit"
        ) from error
    _known(path, section, _KEYS, "")
    tls: Any = section.get("tls_server_config")
    users = _users(path, section.get("basic_auth_users") or {})
    context = _tls(path, tls)
    named = [path.parent / tls[key] for key in _FILE_KEYS if tls.get(key)] if context else []
    return WebConfig(context, users, (path, *named))


def _known(path: Path, section: Any, keys: frozenset[str], under: str) -> None:
    if not isinstance(section, dict):
        raise InputError(
            f"web config {path}: {under.rstrip('.') or 'the file'} is not a mapping", hint="write keys with values"
        )
    for key in section:
        if key not in keys:
            allowed = ", ".join(sorted(keys))
            raise InputError(f"web config {path}: {under}{key} is not supported", hint=f"supported keys: {allowed}")


def _users(path: Path, section: Any) -> dict[str, str]:
    if not isinstance(section, dict):
        raise InputError(f"web config {path}: basic_auth_users is not a mapping", hint="write user: hash")
    for user, hashed in section.items():
        if not isinstance(hashed, str) or not _HASH.match(hashed):
            raise InputError(
                f"web config {path}: basic_auth_users.{user} is not a bcrypt hash",
                hint="create one with: htpasswd -nBC 10 USER",
            )
    return {str(user): hashed for user, hashed in section.items()}


def _tls(path: Path, section: Any) -> ssl.SSLContext | None:
    if section is None:
        return None
    _known(path, section, _TLS_KEYS, "tls_server_config.")
    for key in ("cert_file", "key_file"):
        if not section.get(key):
            raise InputError(f"web config {path}: tls_server_config.{key} is missing", hint="name a PEM file")
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.minimum_version = _one_of(path, section, "min_version", _VERSIONS, "TLS12")
    context.maximum_version = _one_of(path, section, "max_version", _VERSIONS, "TLS13")
    clients = _one_of(path, section, "client_auth_type", _CLIENTS, "NoClientCert")
    try:
        context.load_cert_chain(path.parent / section["cert_file"], path.parent / section["key_file"])
        if section.get("client_ca_file"):
            context.load_verify_locations(path.parent / section["client_ca_file"])
    except (OSError, ssl.SSLError) as error:
        raise InputError(f"web config {path}: tls_server_config: {error}", hint="name readable PEM files") from error
    if clients is not ssl.CERT_NONE and not section.get("client_ca_file"):
        hint = "name the certificate authority of the clients"
        raise InputError(f"web config {path}: tls_server_config.client_ca_file is missing", hint=hint)
    context.verify_mode = clients
    return context


def _one_of(path: Path, section: Any, key: str, known: Mapping[str, Any], default: str) -> Any:
    value = section.get(key, default)
    if value not in known:
        allowed = ", ".join(known)
        raise InputError(
            f"web config {path}: tls_server_config.{key} is {value!r}", hint=f"supported values: {allowed}"
        )
    return known[value]


class WebConfigFile:
    """A web-config file that may change while it is in use, as certificates do.

    Args:
        path: of the file, None for no TLS and no authentication.

    Raises:
        InputError: the file, or a file that it names, cannot be read or is invalid.
    """

    def __init__(self, path: Path | None) -> None:
        self._path = path
        self._read = WebConfig(None, {}) if path is None else load(path)
        self._stamp = self._changed()

    def current(self) -> WebConfig:
        """The current configuration; if a change cannot be read, the previous configuration stays in use."""
        stamp = self._changed()
        if self._path is not None and stamp != self._stamp:
            self._stamp = stamp
            try:
                self._read = load(self._path)
            except InputError as error:
                _log.warning("the previous web config stays in use: %s", error)
        return self._read

    def _changed(self) -> tuple[int, ...]:
        """When each file last changed; a certificate can be renewed without a change to the file that names it."""
        try:
            return tuple(file.stat().st_mtime_ns for file in self._read.files)
        except OSError:  # a file is being replaced
            return (-1,)
