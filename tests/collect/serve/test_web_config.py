import logging
import ssl
from pathlib import Path

import bcrypt
import pytest
import trustme

from gpuwise.collect.serve.access import BasicAuth
from gpuwise.collect.serve.web_config import WebConfigFile, load
from gpuwise.model.errors import InputError

HASH = bcrypt.hashpw(b"open sesame", bcrypt.gensalt(4)).decode()


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    authority = trustme.CA()
    certificate = authority.issue_cert("localhost")
    certificate.cert_chain_pems[0].write_to_path(tmp_path / "cert.pem")
    certificate.private_key_pem.write_to_path(tmp_path / "key.pem")
    authority.cert_pem.write_to_path(tmp_path / "ca.pem")
    return tmp_path


def written(folder: Path, text: str) -> Path:
    path = folder / "web-config.yml"
    path.write_text(text)
    return path


TLS = "tls_server_config: {cert_file: cert.pem, key_file: key.pem"


def test_certificate_paths_are_relative_to_the_file_and_old_protocols_are_disabled(folder: Path):
    config = load(written(folder, f"{TLS}}}\nbasic_auth_users:\n  prometheus: {HASH}\n"))
    assert config.tls is not None
    assert config.tls.minimum_version is ssl.TLSVersion.TLSv1_2
    assert config.users == {"prometheus": HASH}


def test_client_certificates_can_be_required(folder: Path):
    more = ", client_auth_type: RequireAndVerifyClientCert, client_ca_file: ca.pem, min_version: TLS13}"
    config = load(written(folder, TLS + more))
    assert config.tls is not None
    assert config.tls.verify_mode is ssl.CERT_REQUIRED


def test_an_empty_file_configures_nothing(folder: Path):
    config = load(written(folder, ""))
    assert (config.tls, config.users) == (None, {})


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("http_server_config: {http2: true}", r"http_server_config is not supported"),
        (f"{TLS}, cipher_suites: [x]}}", r"tls_server_config\.cipher_suites is not supported"),
        ("tls_server_config: {cert_file: cert.pem}", r"tls_server_config\.key_file is missing"),
        ("tls_server_config: {cert_file: none.pem, key_file: key.pem}", r"tls_server_config: .*No such file"),
        (f"{TLS}, min_version: TLS10}}", r"min_version is 'TLS10'; supported values: TLS12, TLS13"),
        (f"{TLS}, client_auth_type: RequireAndVerifyClientCert}}", r"client_ca_file is missing"),
        ("basic_auth_users: {prometheus: secret}", r"basic_auth_users\.prometheus is not a bcrypt hash; .*htpasswd"),
        ("basic_auth_users: [prometheus]", r"basic_auth_users is not a mapping"),
        ("tls_server_config: on", r"tls_server_config is not a mapping"),
        ("- a\n- b\n", r"the file is not a mapping"),
        ("a: [", r"cannot be read"),
    ],
)
def test_an_unsupported_setting_is_an_error_that_names_it(folder: Path, text: str, message: str):
    with pytest.raises(InputError, match=message) as caught:
        load(written(folder, text))
    assert "secret" not in str(caught.value)


def test_a_missing_file_is_named(tmp_path: Path):
    with pytest.raises(InputError, match=r"none\.yml cannot be read"):
        WebConfigFile(tmp_path / "none.yml")


def test_a_renewed_certificate_takes_effect_without_a_change_of_the_file(folder: Path):
    file = WebConfigFile(written(folder, f"{TLS}}}"))
    before = file.current().tls
    assert file.current().tls is before
    renewed = trustme.CA().issue_cert("localhost")
    renewed.cert_chain_pems[0].write_to_path(folder / "cert.pem")
    renewed.private_key_pem.write_to_path(folder / "key.pem")
    assert file.current().tls is not before


def test_a_change_takes_effect_and_an_invalid_one_keeps_the_last(folder: Path, caplog: pytest.LogCaptureFixture):
    path = written(folder, f"basic_auth_users: {{a: {HASH}}}")
    file = WebConfigFile(path)
    written(folder, f"basic_auth_users: {{b: {HASH}}}")
    assert set(file.current().users) == {"b"}
    with caplog.at_level(logging.WARNING):
        written(folder, "basic_auth_users: {c: nonsense}  # longer than it was")
        assert set(file.current().users) == {"b"}
    assert "stays in use" in caplog.text


@pytest.mark.parametrize(
    ("header", "accepted"),
    [
        ("Basic cHJvbTpvcGVuIHNlc2FtZQ==", True),  # prom:open sesame
        ("basic cHJvbTpvcGVuIHNlc2FtZQ==", True),
        ("Basic cHJvbTp3cm9uZw==", False),  # prom:wrong
        ("Basic b3RoZXI6b3BlbiBzZXNhbWU=", False),  # other:open sesame
        ("Basic cHJvbQ==", False),  # no colon
        ("Basic ???", False),
        ("Basic /////w==", False),  # no UTF-8
        ("Basic \xe9\xe9", False),  # no ASCII
        ("Bearer cHJvbTpvcGVuIHNlc2FtZQ==", False),
        ("", False),
        (None, False),
    ],
)
def test_only_the_correct_password_is_accepted_each_time(header: str | None, *, accepted: bool):
    auth = BasicAuth()
    for _ in range(2):
        assert auth.allows(header, {"prom": HASH}) is accepted


def test_a_remembered_password_is_rejected_after_the_hash_changes():
    auth = BasicAuth()
    header = "Basic cHJvbTpvcGVuIHNlc2FtZQ=="
    assert auth.allows(header, {"prom": HASH})
    assert not auth.allows(header, {"prom": bcrypt.hashpw(b"new", bcrypt.gensalt(4)).decode()})
    assert not auth.allows(header, {"someone": HASH})


def test_without_users_every_request_is_accepted():
    assert BasicAuth().allows(None, {})


def test_a_password_longer_than_bcrypt_reads_is_rejected():
    long = "x" * 72
    hashed = bcrypt.hashpw(long.encode(), bcrypt.gensalt(4)).decode()
    import base64

    header = "Basic " + base64.b64encode(f"prom:{long}y".encode()).decode()
    assert not BasicAuth().allows(header, {"prom": hashed})
