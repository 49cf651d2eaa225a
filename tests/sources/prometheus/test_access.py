"""Authentication to Prometheus, TLS and retries; no secret is ever shown."""

import base64
import ssl
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path

import httpx
import pytest
import trustme
from hypothesis import given
from hypothesis import strategies as st
from tests.http_server import answering

from gpuwise import __version__
from gpuwise.model.errors import InputError, SourceError
from gpuwise.sources.prometheus.client import RETRIES, PrometheusClient, PrometheusSettings
from gpuwise.sources.prometheus.retries import RetryBudget, retry_after_s

EMPTY = b'{"status":"success","data":{"resultType":"vector","result":[]}}'


def headers_sent(settings: PrometheusSettings) -> httpx.Headers:
    sent = []

    def answer(request: httpx.Request) -> httpx.Response:
        sent.append(request.headers)
        return httpx.Response(200, content=EMPTY)

    with PrometheusClient(settings, transport=httpx.MockTransport(answer)) as client:
        client.instant("up")
    return sent[0]


def test_the_user_agent_names_gpuwise():
    assert headers_sent(PrometheusSettings("http://prometheus"))["User-Agent"] == f"gpuwise/{__version__}"


def test_headers_and_password_are_sent_and_not_shown():
    headers = {"X-Scope-OrgID": "team-a|team-b\n", "X-Key": "s3cret-key"}
    settings = PrometheusSettings("http://prometheus", username="ada", password="s3cret word\n", headers=headers)
    sent = headers_sent(settings)
    assert (sent["X-Scope-OrgID"], sent["X-Key"]) == ("team-a|team-b", "s3cret-key")
    assert sent["Authorization"] == "Basic " + base64.b64encode(b"ada:s3cret word").decode()
    assert "s3cret" not in repr(settings)
    assert "hush" not in repr(PrometheusSettings("http://ada:hush@prometheus"))


def test_a_header_can_authenticate():
    assert (
        headers_sent(PrometheusSettings("http://p", headers={"authorization": "Key s3"}))["Authorization"] == "Key s3"
    )


INVALID = {
    "an empty header": ({"headers": {"X-Key": " "}}, r"prometheus\.headers\.X-Key is empty or is not plain ASCII text"),
    "two lines": (
        {"headers": {"X-Key": "s3cret\r\nX: y"}},
        r"prometheus\.headers\.X-Key is empty or is not plain ASCII text",
    ),
    "no name": ({"headers": {"X Key": "s3cret"}}, "'X Key' is not a header name"),
    "no password": ({"username": "ada"}, r"prometheus\.username and prometheus\.password_file"),
    "no user": ({"password": "s3cret"}, r"prometheus\.username and prometheus\.password_file"),
    "token and user": ({"bearer_token": "s3cret", "username": "ada", "password": "s3cret"}, "more than one way"),
    "token and header": ({"bearer_token": "s3cret", "headers": {"authorization": "s3cret"}}, "more than one way"),
    "a key alone": ({"client_key_file": Path("key.pem")}, r"set prometheus\.client_cert_file"),
    "no certificate": ({"client_cert_file": Path("/none.pem")}, r"/none\.pem and its key cannot be used"),
}


@pytest.mark.parametrize("name", INVALID)
def test_a_header_that_cannot_be_sent_is_an_input_error_that_names_the_key(name):
    given, says = INVALID[name]
    with pytest.raises(InputError, match=says) as caught:
        PrometheusClient(PrometheusSettings("https://prometheus", **given))
    assert "s3cret" not in str(caught.value)


@pytest.fixture(scope="module")
def authority() -> trustme.CA:
    return trustme.CA()


@pytest.fixture(scope="module")
def files(authority: trustme.CA, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """ca.pem; cert.pem and key.pem of a client; both.pem with both."""
    folder = tmp_path_factory.mktemp("tls")
    client = authority.issue_cert("gpuwise@example.org")
    authority.cert_pem.write_to_path(folder / "ca.pem")
    client.cert_chain_pems[0].write_to_path(folder / "cert.pem")
    client.private_key_pem.write_to_path(folder / "key.pem")
    client.private_key_and_cert_chain_pem.write_to_path(folder / "both.pem")
    return folder


@pytest.fixture
def mutual(authority: trustme.CA) -> Iterator[str]:
    """A server that requires a client certificate of its own authority."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    authority.issue_cert("127.0.0.1").configure_cert(context)
    authority.configure_trust(context)
    context.verify_mode = ssl.CERT_REQUIRED
    with answering(lambda _: (200, EMPTY), tls=context) as url:
        yield url


def ask(settings: PrometheusSettings) -> object:
    with PrometheusClient(settings) as client:
        return client.instant("up")


def test_mutual_tls(mutual: str, files: Path):
    ca, cert, key = files / "ca.pem", files / "cert.pem", files / "key.pem"
    assert ask(PrometheusSettings(mutual, ca_file=ca, client_cert_file=cert, client_key_file=key)) == []
    assert ask(PrometheusSettings(mutual, ca_file=ca, client_cert_file=files / "both.pem")) == []
    with pytest.raises(
        SourceError, match=r"(?i)cannot reach Prometheus at .*: .*(certificate required|alert|EOF|reset)"
    ):
        ask(PrometheusSettings(mutual, ca_file=ca, backoff_s=0.0))
    with pytest.raises(SourceError, match=r"cannot reach Prometheus at .*: .*CERTIFICATE_VERIFY_FAILED"):
        ask(PrometheusSettings(mutual, client_cert_file=files / "both.pem", backoff_s=0.0))


def test_https_to_a_server_without_tls_says_so():
    with answering(lambda _: (200, EMPTY, {})) as url:
        settings = PrometheusSettings(url.replace("http://", "https://"), backoff_s=0.0)
        with PrometheusClient(settings) as client, pytest.raises(SourceError, match="write http:// in --prometheus"):
            client.instant("up")


def test_a_key_without_its_certificate_or_with_a_password_is_an_input_error(files: Path, tmp_path: Path):
    from cryptography.hazmat.primitives import serialization

    with pytest.raises(InputError, match=r"cert\.pem and its key cannot be used"):
        PrometheusClient(PrometheusSettings("https://p", client_cert_file=files / "cert.pem"))
    key = serialization.load_pem_private_key((files / "key.pem").read_bytes(), None)
    encryption = serialization.BestAvailableEncryption(b"word")
    locked = tmp_path / "locked.pem"
    locked.write_bytes(
        key.private_bytes(serialization.Encoding.PEM, serialization.PrivateFormat.TraditionalOpenSSL, encryption)
    )
    with pytest.raises(InputError, match="without a password"):
        PrometheusClient(PrometheusSettings("https://p", client_cert_file=files / "cert.pem", client_key_file=locked))


class Busy:
    """Returns 429 a number of times, then 200; records how long the client waited."""

    def __init__(self, times: int, retry_after: str | None = None) -> None:
        self.left, self.requests, self.waited_s = times, 0, []
        self.headers = {} if retry_after is None else {"Retry-After": retry_after}

    def __call__(self, _: httpx.Request) -> httpx.Response:
        self.requests += 1
        self.left -= 1
        return httpx.Response(429, headers=self.headers) if self.left >= 0 else httpx.Response(200, content=EMPTY)

    def client(self, **settings: float) -> PrometheusClient:
        settings_ = PrometheusSettings("http://prometheus", **settings)
        return PrometheusClient(settings_, transport=httpx.MockTransport(self), wait=self.waited_s.append)


@pytest.mark.parametrize(("retry_after", "waited_s"), [(None, [0.5, 1.0]), ("7", [7.0, 7.0]), ("soon", [0.5, 1.0])])
def test_retry_after_is_respected(retry_after, waited_s):
    server = Busy(2, retry_after)
    with server.client() as client:
        assert client.instant("up") == []
    assert server.waited_s == waited_s


def test_a_too_long_retry_after_is_an_error_at_once():
    server = Busy(1, "31")
    with server.client() as client, pytest.raises(SourceError, match="429 Too Many Requests"):
        client.instant("up")
    assert (server.requests, server.waited_s) == (1, [])


def test_retries_in_an_outage_are_bounded():
    server = Busy(10**6)
    with server.client(retry_burst=10.0, retry_ratio=0.125) as client:
        for _ in range(80):
            with pytest.raises(SourceError, match="429"):
                client.instant("up")
    assert server.requests == 80 + len(server.waited_s)
    assert len(server.waited_s) == 20  # 10 and an eighth of 80
    with Busy(1).client(retry_burst=0.0, retry_ratio=0.0) as client, pytest.raises(SourceError, match="429"):
        client.instant("up")


@given(st.floats(0, 20), st.floats(0, 1), st.lists(st.booleans(), max_size=100))
def test_retries_never_outnumber_the_burst_and_the_share_of_requests(burst, ratio, events):
    budget, spent, earned = RetryBudget(burst, ratio), 0, 0
    for request in events:
        if request:
            budget.earn()
            earned += 1
        else:
            spent += budget.spend()
        assert spent <= burst + ratio * earned + 1e-6


def test_one_request_has_a_maximum_number_of_retries():
    server = Busy(100)
    with server.client() as client, pytest.raises(SourceError, match="429"):
        client.instant("up")
    assert server.requests == 1 + RETRIES


@pytest.mark.parametrize(
    ("retry_after", "seconds"),
    [("0", 0.0), ("120", 120.0), ("Sun, 22 Nov 2026 00:00:30 GMT", 30.0), ("Sat, 21 Nov 2026 23:00:00 GMT", 0.0)]
    + [(nothing, None) for nothing in ("", "soon", "-3", "1.5", "99 Foo 2026")],
)
def test_retry_after_is_seconds_or_a_date(retry_after, seconds):
    assert retry_after_s({"Retry-After": retry_after}, datetime(2026, 11, 22, tzinfo=UTC)) == seconds


@pytest.mark.parametrize(
    "body",
    [
        '{"status":"success","isPartial":true,"data":{"resultType":"vector","result":[]}}',
        '{"status":"success","data":{"resultType":"vector","result":[],"warnings":["store b is away"]}}',
        '{"status":"success","warnings":["store b is away"],"data":{"resultType":"vector","result":[]}}',
    ],
)
def test_i1_incident_thanos_622_a_partial_response_of_any_server_is_an_error(body):
    transport = httpx.MockTransport(lambda _: httpx.Response(200, content=body))
    with (
        PrometheusClient(PrometheusSettings("http://prometheus"), transport=transport) as client,
        pytest.raises(SourceError, match=r"returned a partial response: .*(isPartial|store b is away)"),
    ):
        client.instant("up")


def test_control_characters_in_a_servers_message_are_removed():
    transport = httpx.MockTransport(lambda _: httpx.Response(500, content=b"bad\x1b[2Jthing\nnext"))
    settings = PrometheusSettings("http://prometheus", backoff_s=0.0)
    with (
        PrometheusClient(settings, transport=transport) as client,
        pytest.raises(SourceError, match=r"bad\?\[2Jthing next"),
    ):
        client.instant("up")
