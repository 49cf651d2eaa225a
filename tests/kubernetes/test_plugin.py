"""Credential plugins of kubeconfigs: aws, gke-gcloud-auth-plugin, kubelogin and the like, missing, failing or hanging.

The official client continues unauthenticated, and missing permissions get the blame (kubernetes-client/python#1409).
"""

import base64
import json
import time
from datetime import UTC, datetime
from pathlib import Path

import pytest
import yaml
from tests.cluster_under_test import NAMESPACE

from gpuwise.cluster import KubernetesCluster
from gpuwise.emulate import ADMIN_TOKEN, READER_TOKEN
from gpuwise.emulate.objects import deployment
from gpuwise.model.errors import Forbidden, InputError

pytestmark = pytest.mark.emulator_only(reason="a plugin has to know the emulator's tokens")
DEPLOYMENT = f"/apis/apps/v1/namespaces/{NAMESPACE}/deployments/llm"
V1 = "client.authentication.k8s.io/v1"
HANGS = "sleep 600 & wait"  # with a child, as wrapper scripts have: both have to be stopped
PRINTS = {
    "nothing": ("true", "its output is empty"),
    "prose": ("echo secret", "its output is not JSON"),
    "a list": ("echo '[]'", "returned no status"),
    "no status": (f"""echo '{{"apiVersion": "{V1}"}}'""", "returned no status"),
    "an older version": (
        """echo '{"apiVersion": "client.authentication.k8s.io/v1beta1", "status": {"token": "t"}}'""",
        "returned client.authentication.k8s.io/v1beta1, but the kubeconfig names client.authentication.k8s.io/v1",
    ),
    "no credential": (f"""echo '{{"apiVersion": "{V1}", "status": {{}}}}'""", "neither a token nor a certificate"),
    "half a certificate": (
        f"""echo '{{"apiVersion": "{V1}", "status": {{"clientCertificateData": "x"}}}}'""",
        "neither a token nor a certificate",
    ),
    "no date": (
        f"""echo '{{"apiVersion": "{V1}", "status": {{"token": "t", "expirationTimestamp": "soon"}}}}'""",
        "expirationTimestamp 'soon'",
    ),
}


@pytest.fixture
def api(start_cluster):
    with start_cluster([deployment("llm")]) as started:
        yield started


@pytest.fixture
def write(api, tmp_path):
    """A kubeconfig whose user has a plugin: a shell script, or the given fields of `exec`."""

    def make(script=None, **fields):
        path = api.write_kubeconfig(tmp_path / "kubeconfig")
        config = yaml.safe_load(path.read_text())
        plugin = {"apiVersion": V1, "command": "sh", "args": ["-c", script], "interactiveMode": "Never"}
        config["users"][0]["user"] = {"exec": plugin | fields}
        path.write_text(yaml.safe_dump(config))
        return path

    return make


def refused(path, **options):
    with pytest.raises(InputError) as error:
        KubernetesCluster.connect(kubeconfig=path, context=None, **options)
    assert "\n" not in str(error.value)
    assert str(path) in error.value.problem
    return error.value


def returning(token, **status):
    answer = {"apiVersion": V1, "kind": "ExecCredential", "status": {"token": token} | status}
    return f"printf '%s' '{json.dumps(answer)}'"


@pytest.mark.parametrize("command", ["aws-not-here", "gke-gcloud-auth-plugin-not-here", "./kubelogin", "/opt/no/login"])
def test_a_plugin_that_is_not_installed_is_named_with_its_user(write, command):
    path = write(command=command)
    error = refused(path)
    user = yaml.safe_load(path.read_text())["users"][0]["name"]
    assert error.problem.startswith(
        f"the credential plugin {command} of the user {user} in the kubeconfig {path} is not"
    )
    assert error.hint == "install that program, or use another user with --context"


def test_the_kubeconfigs_own_hint_is_shown(write):
    error = refused(
        write(command="gke-not-here", installHint="Install gke-gcloud-auth-plugin\n  with gcloud components")
    )
    assert error.hint == "Install gke-gcloud-auth-plugin with gcloud components"


def test_a_program_that_cannot_be_started(write, tmp_path):
    (tmp_path / "login").write_text("x")
    assert "cannot be started: Permission denied" in refused(write(command="./login")).problem


def test_a_failing_plugin_is_reported_with_its_reason_and_without_its_arguments(write, capfd):
    error = refused(write("echo 'The SSO session has\nexpired' >&2; exit 255 # secret"))
    assert error.problem.endswith("failed with exit code 255: The SSO session has expired")
    assert error.hint.startswith("sign in again")
    assert "secret" not in str(error)
    assert capfd.readouterr() == ("", "")


def test_of_a_long_reason_the_end_is_shown(write):
    error = refused(write("seq 10000 >&2; echo 'Unable to locate credentials' >&2; exit 1"))
    assert error.problem.endswith("Unable to locate credentials")
    assert len(error.problem) < 600


def test_a_plugin_that_hangs_is_stopped(write):
    start_s = time.monotonic()
    error = refused(write(HANGS), plugin_timeout_s=0.5)
    assert time.monotonic() - start_s < 10
    assert "did not finish within 0.5 s" in error.problem
    assert "waiting for a sign-in" in error.hint


@pytest.mark.parametrize(("script", "message"), PRINTS.values(), ids=PRINTS)
def test_what_is_no_credential_is_shown(write, script, message):
    error = refused(write(script))
    assert message in error.problem
    assert "secret" not in str(error)


@pytest.mark.parametrize("missing", ["command", "apiVersion"])
def test_a_plugin_without_a_required_field(write, missing):
    assert f"has no {missing}" in refused(write(**{missing: None})).problem


def test_a_plugin_that_needs_a_terminal(write, monkeypatch):
    monkeypatch.setattr("sys.stdin", None)
    error = refused(write(returning("t"), interactiveMode="Always"))
    assert "needs a terminal" in error.problem


@pytest.mark.parametrize("fields", [{"args": 3}, {"env": [{"name": "A"}]}, {"env": "A=b"}])
def test_malformed_fields_are_an_error_of_the_file(write, fields):
    assert "cannot read the kubeconfig" in refused(write(returning("t"), **fields)).problem


def test_a_returned_token_is_used(write):
    with KubernetesCluster.connect(kubeconfig=write(returning(ADMIN_TOKEN)), context=None) as cluster:
        assert cluster.get(DEPLOYMENT)["kind"] == "Deployment"


def test_a_plugin_gets_its_environment_and_what_the_protocol_requires(write, tmp_path):
    script = f'printf "%s\\n%s" "$AWS_PROFILE" "$KUBERNETES_EXEC_INFO" > {tmp_path}/seen; {returning(ADMIN_TOKEN)}'
    path = write(script, env=[{"name": "AWS_PROFILE", "value": "prod"}], provideClusterInfo=True)
    with KubernetesCluster.connect(kubeconfig=path, context=None) as cluster:
        address = cluster.address
    profile, _, request = (tmp_path / "seen").read_text().partition("\n")
    assert profile == "prod"
    spec = {"interactive": False, "cluster": {"server": address}}
    assert json.loads(request) == {"apiVersion": V1, "kind": "ExecCredential", "spec": spec}


def test_a_command_with_a_slash_is_relative_to_the_kubeconfig(write, tmp_path, monkeypatch):
    (tmp_path / "bin").mkdir()
    program = tmp_path / "bin" / "login"
    program.write_text(f"#!/bin/sh\n{returning(ADMIN_TOKEN)}\n")
    program.chmod(0o755)
    monkeypatch.chdir("/")
    with KubernetesCluster.connect(kubeconfig=write(command="bin/login", args=None), context=None) as cluster:
        assert cluster.get(DEPLOYMENT)["kind"] == "Deployment"


def test_a_token_is_replaced_when_it_expires(write, tmp_path):
    soon = datetime.fromtimestamp(time.time() + 5, UTC).isoformat()
    (tmp_path / "answer").write_text(returning(READER_TOKEN, expirationTimestamp=soon))
    path = write(f". {tmp_path}/answer; echo run >> {tmp_path}/runs")
    with KubernetesCluster.connect(kubeconfig=path, context=None) as cluster:
        assert (tmp_path / "runs").read_text().count("run") == 1
        (tmp_path / "answer").write_text(returning(ADMIN_TOKEN))
        patch = {"metadata": {"labels": {"a": "b"}}}
        for _ in range(2):
            cluster.patch(DEPLOYMENT, patch, content_type="application/merge-patch+json")  # a reader may not
    assert (tmp_path / "runs").read_text().count("run") == 2


def test_a_plugin_that_fails_later_is_an_error_of_the_request(write, tmp_path, capfd):
    past = datetime.fromtimestamp(time.time() - 5, UTC).isoformat()
    (tmp_path / "answer").write_text(returning(ADMIN_TOKEN, expirationTimestamp=past))
    path = write(f". {tmp_path}/answer")
    with KubernetesCluster.connect(kubeconfig=path, context=None) as cluster:
        (tmp_path / "answer").write_text("echo 'session expired' >&2; exit 1")
        with pytest.raises(Forbidden, match="failed with exit code 1: session expired; sign in again"):
            cluster.get(DEPLOYMENT)
    assert capfd.readouterr() == ("", "")


def test_a_returned_certificate_is_used(write, api):
    import trustme

    authority = trustme.CA()
    made = authority.issue_cert("gpuwise.example.com")
    certificate, key = made.cert_chain_pems[0].bytes().decode(), made.private_key_pem.bytes().decode()
    path = write(returning(None, clientCertificateData=certificate, clientKeyData=key))
    config = yaml.safe_load(path.read_text())
    config["clusters"][0]["cluster"] = {
        "server": "https://127.0.0.1:1",
        "certificate-authority-data": base64.b64encode(authority.cert_pem.bytes()).decode(),
    }
    path.write_text(yaml.safe_dump(config))
    with KubernetesCluster.connect(kubeconfig=path, context=None) as cluster:
        settings = cluster._client.configuration
        assert "BearerToken" not in settings.api_key
        assert [Path(name).read_text() for name in (settings.cert_file, settings.key_file)] == [certificate, key]
