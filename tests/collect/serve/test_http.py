import contextlib
import gzip
import http.client
import json
import socket
import ssl
import threading
import urllib.error
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import bcrypt
import pytest
import trustme
from tests.collect.conftest import Clock
from tests.collect.readings import ScriptedDevices, card, reading
from tests.collect.serve.test_page import samples
from tests.prometheus_server import NEEDS_PROMETHEUS, StartPrometheus, poll

from gpuwise.collect import catalogue as c
from gpuwise.collect.reading import Sweep
from gpuwise.collect.sampler import STALE_INTERVALS, Sampler
from gpuwise.collect.serve import http as exporter_http
from gpuwise.collect.serve.http import serving
from gpuwise.collect.serve.page import Page
from gpuwise.collect.serve.web_config import WebConfigFile
from gpuwise.model.errors import InputError


@pytest.fixture
def sampler(clock: Clock) -> Sampler:
    sweep = Sweep((reading(card(), {c.UTILIZATION: 0.4, c.POWER: 60.0}),))
    return Sampler(ScriptedDevices(sweep), None, interval_s=10, clock=clock)


@contextmanager
def served(sampler: Sampler, web_config: Path | None = None) -> Iterator[int]:
    page = Page(sampler, node="node-a")
    with serving(sampler, page, listen="127.0.0.1:0", web_config=WebConfigFile(web_config)) as port:
        yield port


def get(port: int, path: str, *, scheme: str = "http", context: ssl.SSLContext | None = None, **headers: str):
    url = f"{scheme}://localhost:{port}{path}"
    request = urllib.request.Request(url, headers={name.replace("_", "-"): value for name, value in headers.items()})
    try:
        with urllib.request.urlopen(request, timeout=300, context=context) as response:
            return response.status, response.headers, response.read()
    except urllib.error.HTTPError as error:
        with error:
            return error.code, error.headers, error.read()


def test_metrics_are_compressed_if_the_client_accepts_it(sampler: Sampler):
    sampler.sample()
    with served(sampler) as port:
        status, headers, plain = get(port, "/metrics")
        assert (status, headers["Content-Encoding"]) == (200, None)
        assert headers["Content-Type"] == "text/plain; version=0.0.4; charset=utf-8"
        status, headers, packed = get(port, "/metrics?x=1", Accept_Encoding="gzip")
        assert (status, headers["Content-Encoding"]) == (200, "gzip")
    assert gzip.decompress(packed) == plain
    assert samples(plain)["gpuwise_gpu_power_watts"][0][1] == 60.0


def test_healthz_is_the_process_and_readyz_needs_a_fresh_sample(sampler: Sampler, clock: Clock):
    with served(sampler) as port:
        assert get(port, "/readyz")[0] == 503
        sampler.sample()
        assert get(port, "/readyz")[0] == 200
        clock.now_s += STALE_INTERVALS * 10 + 1
        assert get(port, "/readyz")[0] == 503
        assert get(port, "/healthz")[0] == 200
        assert get(port, "/nowhere")[0] == 404


NEEDS_IPV6 = pytest.mark.skipif(not socket.has_dualstack_ipv6(), reason="this machine has no IPv6")


@NEEDS_IPV6
@pytest.mark.parametrize(("listen", "hosts"), [(":0", ("127.0.0.1", "[::1]")), ("[::1]:0", ("[::1]",))])
def test_ipv6_is_served_and_no_address_means_both_families(sampler: Sampler, listen: str, hosts: tuple[str, ...]):
    with serving(sampler, Page(sampler, node="node-a"), listen=listen, web_config=WebConfigFile(None)) as port:
        for host in hosts:
            with urllib.request.urlopen(f"http://{host}:{port}/healthz", timeout=300) as response:
                assert response.status == 200


def test_a_connection_serves_many_scrapes(sampler: Sampler):
    sampler.sample()
    with served(sampler) as port, contextlib.closing(http.client.HTTPConnection("127.0.0.1", port, timeout=300)) as one:
        for _ in range(5):
            one.request("GET", "/metrics")
            response = one.getresponse()
            assert response.status == 200
            response.read()


def test_connections_beyond_the_limit_are_closed(sampler: Sampler, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(exporter_http, "_MOST_CONNECTIONS", 1)
    sampler.sample()
    with served(sampler) as port, contextlib.closing(http.client.HTTPConnection("127.0.0.1", port, timeout=300)) as one:
        one.request("GET", "/healthz")
        assert one.getresponse().read() == b"ok\n"
        with pytest.raises((urllib.error.URLError, ConnectionError)):
            get(port, "/healthz")
        one.request("GET", "/healthz")
        assert one.getresponse().status == 200


@pytest.fixture
def web_config(tmp_path: Path) -> tuple[Path, ssl.SSLContext]:
    authority = trustme.CA()
    certificate = authority.issue_cert("localhost")
    certificate.cert_chain_pems[0].write_to_path(tmp_path / "cert.pem")
    certificate.private_key_pem.write_to_path(tmp_path / "key.pem")
    hashed = bcrypt.hashpw(b"open sesame", bcrypt.gensalt(4)).decode()
    path = tmp_path / "web-config.yml"
    tls = "tls_server_config: {cert_file: cert.pem, key_file: key.pem}"
    path.write_text(f"{tls}\nbasic_auth_users: {{prom: {hashed}}}\n")
    context = ssl.create_default_context()
    authority.configure_trust(context)
    authority.cert_pem.write_to_path(tmp_path / "ca.pem")
    return path, context


def test_tls_and_passwords_protect_the_metrics_and_probes_need_no_password(
    sampler: Sampler, web_config: tuple[Path, ssl.SSLContext]
):
    path, context = web_config
    sampler.sample()
    with served(sampler, path) as port:
        status, headers, body = get(port, "/metrics", scheme="https", context=context)
        assert (status, headers["WWW-Authenticate"], body) == (401, "Basic", b"unauthorized\n")
        assert get(port, "/nowhere", scheme="https", context=context)[0] == 401
        assert get(port, "/healthz", scheme="https", context=context)[0] == 200
        right = {"Authorization": "Basic cHJvbTpvcGVuIHNlc2FtZQ=="}
        assert get(port, "/metrics", scheme="https", context=context, **right)[0] == 200
        with pytest.raises((urllib.error.URLError, ConnectionError, http.client.BadStatusLine)):
            get(port, "/metrics")
        assert get(port, "/readyz", scheme="https", context=context)[0] == 200


@NEEDS_PROMETHEUS
def test_a_real_prometheus_scrapes_through_tls_and_a_password(
    sampler: Sampler, web_config: tuple[Path, ssl.SSLContext], start_prometheus: StartPrometheus
):
    path, _ = web_config
    sampler.sample()
    with served(sampler, path) as port:
        url = start_prometheus(
            config="scrape_configs: [{job_name: gpuwise, scrape_interval: 1s, scheme: https, "
            f"tls_config: {{ca_file: '{path.parent / 'ca.pem'}', server_name: localhost}}, "
            "basic_auth: {username: prom, password: open sesame}, "
            f"static_configs: [{{targets: ['127.0.0.1:{port}']}}]}}]"
        )

        def power() -> list[str]:
            with urllib.request.urlopen(f"{url}/api/v1/query?query=gpuwise_gpu_power_watts", timeout=300) as response:
                return [one["value"][1] for one in json.load(response)["data"]["result"]]

        poll(lambda: power() == ["60"], what="the power in Prometheus")


def test_an_unfinished_tls_handshake_does_not_block_other_clients(
    sampler: Sampler, web_config: tuple[Path, ssl.SSLContext]
):
    import socket

    path, context = web_config
    with served(sampler, path) as port, socket.create_connection(("127.0.0.1", port)):
        assert get(port, "/healthz", scheme="https", context=context)[0] == 200


@pytest.mark.parametrize("listen", ["nonsense", "127.0.0.1:99999", "203.0.113.1:9400"])
def test_an_address_that_cannot_be_bound_is_an_input_error(sampler: Sampler, listen: str):
    page = Page(sampler, node="n")
    with (
        pytest.raises(InputError, match="cannot listen on"),
        serving(sampler, page, listen=listen, web_config=WebConfigFile(None)),
    ):
        pass


def test_a_thousand_scrapes_by_twenty_clients_all_get_a_whole_page(sampler: Sampler):
    sampler.sample()
    failures: list[object] = []

    def scrape(port: int) -> None:
        with contextlib.closing(http.client.HTTPConnection("127.0.0.1", port, timeout=300)) as one:
            for _ in range(50):
                one.request("GET", "/metrics", headers={"Accept-Encoding": "gzip"})
                response = one.getresponse()
                body = gzip.decompress(response.read())
                if response.status != 200 or not body.endswith(b"snapshot_age_seconds 0.0\n"):
                    failures.append((response.status, body[-100:]))

    with served(sampler) as port:
        clients = [threading.Thread(target=scrape, args=(port,)) for _ in range(20)]
        for client in clients:
            client.start()
        for client in clients:
            client.join(timeout=300)
    assert failures == []
    assert not any(client.is_alive() for client in clients)
