"""Runs the credential plugin of a kubeconfig's user (users[].user.exec), as kubectl does.

The official client continues unauthenticated if a plugin fails, waits without limit for one that hangs
(kubernetes-client/python#1409), and ignores its installHint. Protocol: client.authentication.k8s.io, v1beta1 and v1.
"""

import base64
import json
import os
import shutil
import signal
import subprocess
import sys
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from gpuwise.model.errors import InputError

TIMEOUT_S = 60.0
"""Longest time that a plugin may take without a terminal. On a terminal a person may be signing in: no limit."""

_OTHER_USER = "or use another user with --context"
_EXCERPT = 300  # characters of a plugin's output in a message
_MARGIN_S = 60.0  # a token is replaced so long before it expires: clocks differ, and requests take time


@dataclass(frozen=True)
class Credential:
    """What a plugin returned.

    Args:
        token: bearer token; None if it returned a certificate only.
        certificate: client certificate, PEM; None if it returned a token only.
        key: its key, PEM.
        expires_s: Unix time of the expiry, seconds; None if it does not expire.
    """

    token: str | None
    certificate: str | None
    key: str | None
    expires_s: float | None

    def expired(self, now_s: float) -> bool:
        """Whether it has to be replaced.

        Args:
            now_s: Unix time, seconds.
        """
        return self.expires_s is not None and now_s > self.expires_s - _MARGIN_S


@dataclass(frozen=True)
class Plugin:
    """The plugin of one user of one kubeconfig file.

    Args:
        file: the kubeconfig that names it; a relative command is relative to its folder.
        user: name of the user.
        settings: the value of users[].user.exec.
        cluster: the value of clusters[].cluster, for plugins with provideClusterInfo.
        timeout_s: longest time that it may take without a terminal, seconds.
    """

    file: str
    user: str
    settings: Mapping[str, Any]
    cluster: Mapping[str, Any]
    timeout_s: float = TIMEOUT_S

    def run(self) -> Credential:
        """Run the plugin.

        Raises:
            InputError: it is not installed, failed, did not finish, or returned no credential.
        """
        for key in ("command", "apiVersion"):
            if not self.settings.get(key):
                raise InputError(
                    f"users[].user.exec of the user {self.user} in the kubeconfig {self.file} has no {key}",
                    hint=f"add it, {_OTHER_USER}",
                )
        return self._credential(self._output())

    @property
    def _interactive(self) -> bool:
        # stdin, not stdout: `gpuwise scan > file` may still ask a person.
        wanted = self.settings.get("interactiveMode") or "IfAvailable"
        terminal = sys.stdin is not None and sys.stdin.isatty()
        if wanted == "Always" and not terminal:
            raise self._error("needs a terminal (interactiveMode: Always)", f"start gpuwise in one, {_OTHER_USER}")
        return wanted != "Never" and terminal

    def _output(self) -> str:
        given = {one["name"]: one["value"] for one in self.settings.get("env") or []}
        interactive = self._interactive
        environment = os.environ | given | {"KUBERNETES_EXEC_INFO": json.dumps(self._request(interactive))}
        command = [self._program(environment), *map(str, self.settings.get("args") or [])]
        try:
            # Its own process group, so that a wrapper script that hangs is stopped with its children.
            process = subprocess.Popen(  # noqa: S603 - the kubeconfig names the command, as for kubectl
                command,
                env=environment,
                stdin=None if interactive else subprocess.DEVNULL,
                stdout=subprocess.PIPE,
                stderr=None if interactive else subprocess.PIPE,
                text=True,
                errors="replace",
                start_new_session=not interactive,
            )
        except OSError as error:
            raise self._error(f"cannot be started: {error.strerror}", self._install) from error
        with process:
            try:
                out, err = process.communicate(timeout=None if interactive else self.timeout_s)
            except subprocess.TimeoutExpired as error:
                os.killpg(process.pid, signal.SIGKILL)
                hint = f"run it in a shell: it may be waiting for a sign-in or for a server; {_OTHER_USER}"
                raise self._error(f"did not finish within {self.timeout_s:g} s", hint) from error
        if process.returncode:
            reason = _shortened(err) or "see its messages"
            raise self._error(f"failed with exit code {process.returncode}: {reason}", f"sign in again, {_OTHER_USER}")
        return out

    def _program(self, environment: Mapping[str, str]) -> str:
        name = str(self.settings["command"])
        if os.sep in name:
            name = str(Path(self.file).parent / name)
            found = name if Path(name).is_file() else None
        else:
            found = shutil.which(name, path=environment.get("PATH"))
        if found is None:
            raise self._error("is not installed" if os.sep in name else "is not in PATH", self._install)
        return found

    def _request(self, interactive: bool) -> dict[str, Any]:  # noqa: FBT001 - as in the protocol
        spec: dict[str, Any] = {"interactive": interactive}
        if self.settings.get("provideClusterInfo"):
            names = ("server", "tls-server-name", "insecure-skip-tls-verify", "certificate-authority-data", "proxy-url")
            spec["cluster"] = {name: self.cluster[name] for name in names if name in self.cluster}
            if authority := self.cluster.get("certificate-authority"):
                text = (Path(self.file).parent / authority).read_bytes()
                spec["cluster"]["certificate-authority-data"] = base64.b64encode(text).decode()
            for one in self.cluster.get("extensions") or []:
                if one.get("name") == "client.authentication.k8s.io/exec":
                    spec["cluster"]["config"] = one.get("extension")
        return {"apiVersion": self.settings["apiVersion"], "kind": "ExecCredential", "spec": spec}

    def _credential(self, text: str) -> Credential:
        try:
            answer = json.loads(text)
        except ValueError as error:
            # Without what it printed: that may be a token or a key.
            printed = "is not JSON" if text.strip() else "is empty"
            raise self._error(f"returned no credential: its output {printed}", f"update it, {_OTHER_USER}") from error
        if not isinstance(answer, dict) or not isinstance(answer.get("status"), dict):
            raise self._error("returned no status", f"update it, {_OTHER_USER}")
        if answer.get("apiVersion") != self.settings["apiVersion"]:
            found = f"returned {answer.get('apiVersion')}, but the kubeconfig names {self.settings['apiVersion']}"
            raise self._error(found, "write the kubeconfig again with the plugin's own command")
        status = answer["status"]
        token, certificate, key = (
            status.get(name) or None for name in ("token", "clientCertificateData", "clientKeyData")
        )
        if not token and not (certificate and key):
            problem = "returned neither a token nor a certificate with its key"
            raise self._error(problem, f"sign in again, {_OTHER_USER}")
        return Credential(token, certificate, key, self._expiry(status.get("expirationTimestamp")))

    def _expiry(self, text: object) -> float | None:
        if text is None:
            return None
        try:
            at = datetime.fromisoformat(str(text))
        except ValueError as error:
            raise self._error(f"returned the expirationTimestamp {text!r}", f"update it, {_OTHER_USER}") from error
        return at.replace(tzinfo=at.tzinfo or UTC).timestamp()

    @property
    def _install(self) -> str:
        """The plugin's own installHint; without one, what to do."""
        own = _shortened(str(self.settings.get("installHint") or ""))
        return own or f"install that program, {_OTHER_USER}"

    def _error(self, problem: str, hint: str) -> InputError:
        # Without its arguments: they may contain a secret.
        who = f"the credential plugin {self.settings['command']} of the user {self.user} in the kubeconfig {self.file}"
        return InputError(f"{who} {problem}", hint=hint)


def _shortened(text: str | None) -> str:
    """Text in one line; its end if it is long, because programs print the reason last."""
    line = " ".join((text or "").split())
    return line if len(line) <= _EXCERPT else f"...{line[-_EXCERPT:]}"
