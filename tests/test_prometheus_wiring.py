"""From the prometheus.* keys of the configuration to the settings of the client."""

from pathlib import Path

import pytest
import yaml
from click.testing import CliRunner

from gpuwise.cli.commands import gpuwise
from gpuwise.config import load
from gpuwise.model.errors import InputError
from gpuwise.wiring import usage


def settings(file: Path | None = None, environment: dict[str, str] | None = None, **flags: object):
    return usage(load(file, environment or {}, {"prometheus.url": "http://p"} | flags)).settings


def test_each_key_reaches_the_client(tmp_path: Path):
    (tmp_path / "password").write_text("hush\n")
    (tmp_path / "tenant").write_text("team-b\n")
    keys = {
        "username": "ada",
        "password_file": str(tmp_path / "password"),
        "headers": {"X-Env": "prod"},
        "header_files": {"X-Scope-OrgID": str(tmp_path / "tenant")},
        "ca_file": "/ca.pem",
        "client_cert_file": "/cert.pem",
        "client_key_file": "/key.pem",
        "read": "remote-read",
        "timeout_s": 5,
        "retry_burst": 3,
        "retry_ratio": 0.5,
        "longest_wait_s": 9,
    }
    file = tmp_path / "gpuwise.yaml"
    file.write_text(yaml.safe_dump({"prometheus": keys}))
    found = settings(file)
    assert found.basic_auth == ("ada", "hush")
    assert found.all_headers == {"X-Env": "prod", "X-Scope-OrgID": "team-b"}
    assert not found.holds_secret
    assert (found.ca_file, found.client_cert_file, found.client_key_file) == tuple(
        map(Path, ("/ca.pem", "/cert.pem", "/key.pem"))
    )
    assert (found.read, found.timeout_s) == ("remote-read", 5.0)
    assert (found.retry_burst, found.retry_ratio, found.longest_wait_s) == (3.0, 0.5, 9.0)


def test_headers_can_be_set_in_the_environment(tmp_path: Path):
    (tmp_path / "tenant").write_text("team-b")
    environment = {
        "GPUWISE_PROMETHEUS_HEADERS": "X-Env=prod, X-Team=a=b",
        "GPUWISE_PROMETHEUS_HEADER_FILES": f"X-Scope-OrgID={tmp_path / 'tenant'}",
    }
    assert settings(environment=environment).all_headers == {
        "X-Env": "prod",
        "X-Team": "a=b",
        "X-Scope-OrgID": "team-b",
    }


BAD = {
    "GPUWISE_PROMETHEUS_HEADERS": ("s3cret", r"GPUWISE_PROMETHEUS_HEADERS: prometheus\.headers is not shown"),
    "GPUWISE_PROMETHEUS_HEADER_FILES": ("X-Key=/none", r"/none.*check prometheus\.header_files\.X-Key"),
    "GPUWISE_PROMETHEUS_PASSWORD_FILE": ("/none", r"/none.*check prometheus\.password_file"),
    "GPUWISE_PROMETHEUS_READ": ("grpc", r"prometheus\.read is 'grpc'.*auto or remote-read or query-range"),
}


@pytest.mark.parametrize("name", BAD)
def test_an_invalid_value_names_its_key_and_shows_no_secret(name):
    value, message = BAD[name]
    with pytest.raises(InputError, match=message) as caught:
        settings(environment={name: value})
    assert "s3cret" not in str(caught.value)


def test_the_flag_selects_one_of_the_apis():
    found = CliRunner().invoke(gpuwise, ["scan", "--prometheus", "http://p", "--prometheus-read", "grpc"])
    assert found.exit_code == 2
    assert "'auto', 'remote-read', 'query-range'" in found.output
    assert settings(**{"prometheus.read": "query-range"}).read == "query-range"
