import contextlib
import gzip
import http.client
import json
import re
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
from gpuwise.collect.serve.connections import Connection, Connections
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
@pytest.mark.parametrize(
    ("listen", "hosts"),
    [(":0", ("127.0.0.1", "[::1]")), ("[::]:0", ("127.0.0.1", "[::1]")), ("[::1]:0", ("[::1]",))],
)
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


def request(port: int, method: str, path: str, **headers: str) -> tuple[http.client.HTTPResponse, bytes]:
    with contextlib.closing(http.client.HTTPConnection("127.0.0.1", port, timeout=300)) as one:
        one.request(method, path, headers={name.replace("_", "-"): value for name, value in headers.items()})
        response = one.getresponse()
        return response, response.read()


@pytest.mark.parametrize("path", ["/", "/metrics", "/healthz", "/readyz"])
def test_head_has_the_headers_of_get_and_no_body(sampler: Sampler, path: str):
    sampler.sample()
    with served(sampler) as port:
        get_, body = request(port, "GET", path)
        head, nothing = request(port, "HEAD", path)
    assert (head.status, nothing) == (200, b"")
    assert head.headers["Content-Length"] == str(len(body))
    assert head.headers["Content-Type"] == get_.headers["Content-Type"]


def test_the_landing_page_links_to_the_endpoints(sampler: Sampler):
    sampler.sample()
    with served(sampler) as port:
        response, body = request(port, "GET", "/")
        assert response.headers["Content-Type"].startswith("text/html")
        for path in re.findall(r'href="([^"]+)"', body.decode()):
            assert request(port, "GET", f"/{path}")[0].status == 200


@pytest.mark.parametrize(
    ("accepted", "packed"),
    [
        ("gzip", True),
        ("gzip;q=0", False),
        ("gzip; q=0.0, identity", False),
        ("deflate, GZIP;q=0.5", True),
        ("*", True),
        ("*;q=0", False),
        ("identity", False),
        ("gzip;q=wrong", False),
        ("notgzip", False),
    ],
)
def test_the_page_is_compressed_only_if_gzip_is_accepted(sampler: Sampler, accepted: str, packed: bool):  # noqa: FBT001
    sampler.sample()
    with served(sampler) as port:
        response, _ = request(port, "GET", "/metrics", Accept_Encoding=accepted)
    assert (response.headers["Content-Encoding"] == "gzip") == packed


OPENMETRICS = "application/openmetrics-text; version=1.0.0; charset=utf-8"
TEXT = "text/plain; version=0.0.4; charset=utf-8"
# As Prometheus 2.42 and 3.5 write it.
OF_PROMETHEUS_2 = (
    "application/openmetrics-text;version=1.0.0,application/openmetrics-text;version=0.0.1;q=0.75,"
    "text/plain;version=0.0.4;q=0.5,*/*;q=0.1"
)
OF_PROMETHEUS_3 = (
    "application/openmetrics-text;version=1.0.0;escaping=allow-utf-8;q=0.6,"
    "application/openmetrics-text;version=0.0.1;q=0.5,text/plain;version=1.0.0;escaping=allow-utf-8;q=0.4,"
    "text/plain;version=0.0.4;q=0.3,*/*;q=0.2"
)


@pytest.mark.parametrize(
    ("accepted", "content_type"),
    [
        (OF_PROMETHEUS_2, OPENMETRICS),
        (OF_PROMETHEUS_3, OPENMETRICS),
        ("application/openmetrics-text", OPENMETRICS),
        ("application/openmetrics-text;version=2.0.0, text/plain", TEXT),
        ("application/openmetrics-text;q=0.1, text/plain;q=0.9", TEXT),
        ("application/openmetrics-text;q=0", TEXT),
        ("*/*", TEXT),
        ("text/html", TEXT),
    ],
)
def test_the_format_is_what_the_client_prefers(sampler: Sampler, accepted: str, content_type: str):
    sampler.sample()
    with served(sampler) as port:
        response, body = request(port, "GET", "/metrics", Accept=accepted)
    assert response.headers["Content-Type"] == content_type
    assert body.endswith(b"# EOF\n") == (content_type == OPENMETRICS)
    assert b"gpuwise_gpu_power_watts" in body


@contextmanager
def slow_clients(port: int, hosts: list[str], sent: bytes = b"GET /metrics HTTP/1.1\r\nX: ") -> Iterator[None]:
    """Connections that begin a request and do not finish it, one from each of these addresses."""
    with contextlib.ExitStack() as stack:
        for host in hosts:
            one = stack.enter_context(socket.create_connection(("127.0.0.1", port), source_address=(host, 0)))
            one.sendall(sent)
        yield


@pytest.mark.parametrize("addresses", [1, 32, 128])
@pytest.mark.parametrize("sent", [b"", b"GET /metrics HTTP/1.1\r\nX: ", b"\x16\x03"], ids=["nothing", "part", "tls"])
def test_slow_clients_do_not_take_the_endpoints_away(sampler: Sampler, addresses: int, sent: bytes):
    sampler.sample()
    hosts = [f"127.0.1.{number % addresses + 1}" for number in range(256)]
    with served(sampler) as port, slow_clients(port, hosts, sent):
        for _ in range(3):
            for path in ("/metrics", "/healthz"):
                assert request(port, "GET", path)[0].status == 200


@pytest.mark.parametrize("addresses", [32, 128])
def test_clients_that_do_not_read_their_answers_do_not_take_the_endpoints_away(sampler: Sampler, addresses: int):
    """Their answers fill the buffers of both sockets, so their threads wait to send."""
    sampler.sample()
    asked = b"GET /metrics HTTP/1.1\r\nHost: a\r\n\r\n" * 2000
    with served(sampler) as port, contextlib.ExitStack() as stack:
        for number in range(128):
            one = stack.enter_context(socket.socket())
            one.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 1024)
            one.bind((f"127.0.2.{number % addresses + 1}", 0))
            one.connect(("127.0.0.1", port))
            one.setblocking(False)
            with contextlib.suppress(BlockingIOError):
                one.sendall(asked)
        for path in ("/healthz", "/metrics") * 3:
            assert request(port, "GET", path)[0].status == 200


def test_a_head_that_arrives_byte_by_byte_has_one_deadline(sampler: Sampler, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(exporter_http, "_HEAD_S", 0.3)
    with served(sampler) as port, socket.create_connection(("127.0.0.1", port), timeout=300) as one:
        with contextlib.suppress(ConnectionError):
            for _ in range(200):
                one.sendall(b"X")
                threading.Event().wait(0.05)  # the pace of the client is what is tested
        ended = b""
        with contextlib.suppress(ConnectionError):
            ended = one.recv(1)
    assert ended == b""


def asked(one: http.client.HTTPConnection) -> bytes:
    one.request("GET", "/healthz")
    return one.getresponse().read()


@pytest.fixture
def answered(monkeypatch: pytest.MonkeyPatch) -> threading.Semaphore:
    """Released once per answer, when its connection waits for the next request: the client has the answer before."""
    end, count = Connection.end, threading.Semaphore(0)

    def noted(connection: Connection) -> None:
        end(connection)
        count.release()

    monkeypatch.setattr(Connection, "end", noted)
    return count


def test_the_longest_waiting_connection_is_replaced(
    sampler: Sampler, answered: threading.Semaphore, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setattr(exporter_http, "_MOST_CONNECTIONS", 2)
    sampler.sample()
    with (
        served(sampler) as port,
        contextlib.closing(http.client.HTTPConnection("127.0.0.1", port, timeout=300)) as first,
        contextlib.closing(http.client.HTTPConnection("127.0.0.1", port, timeout=300)) as second,
    ):
        for one in (first, second, first):
            assert asked(one) == b"ok\n"
            assert answered.acquire(timeout=300)
        assert request(port, "GET", "/healthz")[0].status == 200
        assert asked(first) == b"ok\n"
        with pytest.raises((ConnectionError, http.client.HTTPException)):
            asked(second)


def test_a_connection_for_which_the_node_has_no_thread_is_closed_and_the_next_is_served(
    sampler: Sampler, monkeypatch: pytest.MonkeyPatch
):
    start, left = exporter_http.start_new_thread, [True, False, True]

    def limited(*arguments):
        if not (left.pop(0) if left else True):
            raise RuntimeError("can't start new thread")
        return start(*arguments)

    monkeypatch.setattr(exporter_http, "start_new_thread", limited)
    monkeypatch.setattr(exporter_http, "_MOST_CONNECTIONS", 1)
    sampler.sample()
    with served(sampler) as port:
        assert request(port, "GET", "/healthz")[0].status == 200
        with pytest.raises((ConnectionError, http.client.HTTPException)):
            request(port, "GET", "/healthz")
        assert request(port, "GET", "/healthz")[0].status == 200
    assert left == []


def closed(connection: Connection) -> bool:
    connection.socket.setblocking(False)
    try:
        return connection.socket.recv(1) == b""
    except BlockingIOError:
        return False


@pytest.fixture
def connections() -> Iterator[list[Connection]]:
    """Connections of the addresses a, b, b and a."""
    with contextlib.ExitStack() as stack:
        pairs = [socket.socketpair() for _ in range(4)]
        for end in (end for pair in pairs for end in pair):
            stack.enter_context(end)
        yield [Connection(pair[0], name) for pair, name in zip(pairs, "abba", strict=True)]


def test_a_connection_that_is_being_answered_is_replaced_only_if_all_are(connections: list[Connection]):
    open_ = Connections(most=3, most_per_address=3, answer_s=100)
    first, second, third, last = connections
    for one in (first, second, third):
        open_.admit(one)
    first.begin()
    open_.admit(last)
    assert [closed(one) for one in connections] == [False, True, False, False]


def test_if_all_are_being_answered_the_busiest_address_loses_one(connections: list[Connection]):
    open_ = Connections(most=3, most_per_address=3, answer_s=100)
    for one in connections[:3]:
        open_.admit(one)
        one.begin()
    open_.admit(connections[3])
    assert [closed(one) for one in connections] == [False, True, False, False]


def test_the_limit_of_an_address_replaces_only_its_own_connections():
    pairs = [socket.socketpair() for _ in range(4)]
    open_ = Connections(most=10, most_per_address=2, answer_s=100)
    other, first, *more = (Connection(pair[0], name) for pair, name in zip(pairs, "abbb", strict=True))
    for one in (other, first, *more):
        open_.admit(one)
    assert first.socket.recv(1) == b""  # closed
    for one in (other, *more):
        one.socket.setblocking(False)
        with pytest.raises(BlockingIOError):
            one.socket.recv(1)
    for pair in pairs:
        for end in pair:
            end.close()


def test_what_follows_a_body_is_not_a_request(sampler: Sampler):
    sent = b"GET /healthz HTTP/1.1\r\nHost: a\r\nContent-Length: 36\r\n\r\nGET /metrics HTTP/1.1\r\nHost: a\r\n\r\n"
    with served(sampler) as port, socket.create_connection(("127.0.0.1", port), timeout=300) as one:
        one.sendall(sent)
        answer = b"".join(iter(lambda: one.recv(4096), b""))
    assert answer.count(b"HTTP/1.1 ") == 1


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


def test_the_start_needs_no_name_server(sampler: Sampler, monkeypatch: pytest.MonkeyPatch):
    asked: list[str] = []
    monkeypatch.setattr(socket, "getfqdn", lambda name="": asked.append(name) or name)
    with served(sampler) as port:
        assert request(port, "GET", "/healthz")[0].status == 200
    assert asked == []


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
