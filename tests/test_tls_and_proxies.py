"""Certificates that are right and wrong, and real proxies in between."""

import contextlib
import socket
import ssl
import subprocess
import sys
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from shutil import which

import pytest
import trustme

from evocall.model import Credential, DialRequest, Outcome, Profile
from evocall.sandbox import Sandbox
from evocall.service import Service
from tests.faultserver import FaultServer, Visit, answering, free_port, http, silent

FLOW = "665f1c0000000000000000aa"
DIAL = ("dial", "+18145550100", "--flow", FLOW)


def serving(authority: trustme.CA, *names: str, not_after: datetime | None = None) -> ssl.SSLContext:
    """A server's side of TLS, by a certificate for these names."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    authority.issue_cert(*names, not_after=not_after).configure_cert(context)
    return context


@pytest.fixture
def authority() -> trustme.CA:
    """A company's own certificate authority."""
    return trustme.CA()


@pytest.fixture
def bundle(authority: trustme.CA, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The file that makes evocall trust it."""
    path = tmp_path / "ca.pem"
    authority.cert_pem.write_to_path(str(path))
    monkeypatch.setenv("REQUESTS_CA_BUNDLE", str(path))
    return path


@pytest.fixture
def sign_in_to(monkeypatch: pytest.MonkeyPatch) -> Callable[[str], None]:
    """An environment that signs in to an address as the sandbox's Manager."""

    def sign_in(base_url: str) -> None:
        monkeypatch.setenv("EVOCALL_BASE_URL", base_url)
        monkeypatch.setenv("EVOCALL_USERNAME", "manager@example.com")
        monkeypatch.setenv("EVOCALL_PASSWORD", "rings-nobody")

    return sign_in


@pytest.fixture
def far(authority: trustme.CA, bundle: Path, name: str, sign_in_to: Callable[[str], None]) -> Iterator[Sandbox]:
    """A trusted TLS sandbox under that name, and an environment that signs in to it."""
    with Sandbox(tls=serving(authority, name)) as sandbox:
        sign_in_to(sandbox.base_url.replace("127.0.0.1", name))
        yield sandbox


@pytest.mark.parametrize("variable", ["REQUESTS_CA_BUNDLE", "CURL_CA_BUNDLE"])
def test_a_company_authority_is_trusted_through_the_environment(
    evocall, authority, bundle, sign_in_to, monkeypatch, variable
):
    monkeypatch.delenv("REQUESTS_CA_BUNDLE")
    monkeypatch.setenv(variable, str(bundle))
    with Sandbox(tls=serving(authority, "127.0.0.1")) as sandbox:
        sign_in_to(sandbox.base_url)
        result = evocall(*DIAL)
        assert (result.code, result.err, len(sandbox.calls)) == (0, "", 1)


@pytest.mark.parametrize(
    ("make", "reason"),
    [
        pytest.param(lambda _: serving(trustme.CA(), "127.0.0.1"), "issuer certificate", id="another authority"),
        pytest.param(
            lambda ours: serving(ours, "127.0.0.1", not_after=datetime.now(UTC) - timedelta(days=1)),
            "expired",
            id="expired",
        ),
        pytest.param(lambda ours: serving(ours, "evovoice.example"), "mismatch", id="another name"),
    ],
)
def test_a_wrong_certificate_stops_the_call_before_anything_is_sent(
    evocall, authority, bundle, sign_in_to, make, reason
):
    """Once: it will not be right a second later."""
    with FaultServer(silent, tls=make(authority)) as server:
        sign_in_to(server.base_url)
        result = evocall(*DIAL)
    assert (result.code, server.connections, server.requests) == (8, 1, [])
    assert "its certificate was not accepted" in result.err
    assert reason in result.err
    assert "REQUESTS_CA_BUNDLE" in result.err


def test_without_the_bundle_the_company_authority_is_not_trusted(evocall, authority, sign_in_to):
    with FaultServer(silent, tls=serving(authority, "127.0.0.1")) as server:
        sign_in_to(server.base_url)
        result = evocall(*DIAL)
    assert (result.code, server.connections, server.requests) == (8, 1, [])


def test_a_bundle_that_is_not_there_is_a_configuration_error(evocall, authority, sign_in_to, monkeypatch, tmp_path):
    """It is named, rather than left to a library to stumble over."""
    missing = tmp_path / "nowhere.pem"
    monkeypatch.setenv("REQUESTS_CA_BUNDLE", str(missing))
    with FaultServer(silent, tls=serving(authority, "127.0.0.1")) as server:
        sign_in_to(server.base_url)
        result = evocall(*DIAL)
    assert (result.code, server.connections) == (10, 0)
    assert str(missing) in result.err


def test_a_bundle_that_holds_no_certificates_is_a_configuration_error(
    evocall, authority, sign_in_to, monkeypatch, tmp_path
):
    """The environment is wrong, not the network."""
    empty = tmp_path / "empty.pem"
    empty.write_text("no certificate\n")
    monkeypatch.setenv("REQUESTS_CA_BUNDLE", str(empty))
    with FaultServer(silent, tls=serving(authority, "127.0.0.1")) as server:
        sign_in_to(server.base_url)
        result = evocall(*DIAL)
    assert (result.code, server.requests) == (10, [])
    assert str(empty) in result.err


# proxies


@pytest.fixture
def tinyproxy(missing, tmp_path: Path, far: Sandbox) -> Iterator[tuple[str, Callable[[], str]]]:
    """A real proxy that tunnels to the sandbox only: its address, and how to stop it and get its log."""
    program = which("tinyproxy")
    if program is None:
        missing("tinyproxy is not installed: apt install tinyproxy")
    port, config = free_port(), tmp_path / "tinyproxy.conf"
    lines = [
        f"Port {port}",
        "Listen 127.0.0.1",
        "Allow 127.0.0.1",
        "Timeout 30",
        "MaxClients 5",
        "LogLevel Info",
        f"ConnectPort {far.base_url.rpartition(':')[2]}",
    ]
    config.write_text("".join(f"{line}\n" for line in lines))
    process = subprocess.Popen([str(program), "-d", "-c", str(config)], stdout=subprocess.PIPE, text=True)

    def stop() -> str:
        process.terminate()
        return process.communicate(timeout=10)[0]

    try:
        # What it prints while it starts ends with this line; without it, reading ends with the process.
        assert any("Accepting connections" in line for line in process.stdout)
        yield f"http://127.0.0.1:{port}", stop
    finally:
        if process.poll() is None:
            stop()


def test_a_real_proxy_is_tunnelled_through(evocall, far, name, tinyproxy, monkeypatch):
    """HTTPS_PROXY, as everybody sets it."""
    address, stop = tinyproxy
    monkeypatch.setenv("HTTPS_PROXY", address)
    result = evocall(*DIAL)
    assert (result.code, result.err, len(far.calls)) == (0, "", 1)
    assert f"CONNECT {name}:" in stop()


def connecting(visit: Visit) -> None:
    """A proxy that lets nobody through."""
    visit.read()
    visit.send(http("403 Filtered"))


def test_the_call_goes_by_the_proxy_and_nowhere_else(evocall, far, monkeypatch):
    """What the proxy is asked for is the host and nothing of the request."""
    with FaultServer(connecting) as proxy:
        monkeypatch.setenv("HTTPS_PROXY", proxy.base_url)
        evocall(*DIAL)
    [asked] = proxy.requests
    assert asked.method == "CONNECT"
    assert "authorization" not in asked.headers
    assert far.requests == []


@pytest.mark.parametrize("status", ["407 Proxy Authentication Required", "403 Filtered", "502 Bad Gateway"])
def test_a_proxy_that_refuses_means_not_placed(evocall, far, monkeypatch, status):
    """Exit 8, once, and its words are shown."""
    with FaultServer(answering(http(status))) as proxy:
        monkeypatch.setenv("HTTPS_PROXY", proxy.base_url)
        result = evocall(*DIAL)
    assert (result.code, proxy.connections, far.requests) == (8, 1, [])
    assert status in result.err
    assert "HTTPS_PROXY" in result.err


def test_a_proxy_that_is_not_there_means_not_placed(evocall, far, monkeypatch):
    monkeypatch.setenv("HTTPS_PROXY", f"http://127.0.0.1:{free_port()}")
    result = evocall(*DIAL)
    assert (result.code, far.requests) == (8, [])
    assert "HTTPS_PROXY" in result.err


@pytest.mark.parametrize(
    ("variable", "address", "shown"),
    [
        ("HTTPS_PROXY", "http://127.0.0.1:99999", "http://127.0.0.1:99999"),
        ("HTTPS_PROXY", "http://127.0.0.1:0", "http://127.0.0.1:0"),
        ("https_proxy", "garbage::://", "garbage::://"),
        ("HTTPS_PROXY", "ftp://127.0.0.1:3128", "ftp://127.0.0.1:3128"),
        ("HTTPS_PROXY", "http://:3128", "http://:3128"),
        ("HTTPS_PROXY", "http://[proxy", "http://[proxy"),
        ("HTTPS_PROXY", f"http://{'a' * 64}.example:3128", f"{'a' * 64}.example"),
        ("HTTPS_PROXY", "proxy.example:port", "proxy.example:port"),
        ("ALL_PROXY", "http://user:open-sesame@127.0.0.1:99999", "http://…@127.0.0.1:99999"),
        ("all_proxy", "user:open-sesame/@@127.0.0.1:99999", "…@127.0.0.1:99999"),
    ],
)
def test_an_address_that_can_never_be_a_proxy_is_a_configuration_error(
    evocall, far, monkeypatch, variable, address, shown
):
    """A script that tries again on exit 8 would try for ever; doctor says the same."""
    monkeypatch.setenv(variable, address)
    result = evocall(*DIAL)
    assert (result.code, far.requests) == (10, [])
    assert f"{variable} is " in result.err
    assert shown in result.err
    assert "open-sesame" not in result.out + result.err
    assert "hint: Write it as http://HOST:PORT" in result.err
    assert evocall("doctor").code == 10


@pytest.mark.parametrize("scheme", ["socks5", "socks5h", "socks4"])
def test_a_socks_proxy_without_its_library_is_a_configuration_error(evocall, far, monkeypatch, scheme):
    """What is missing is named, and how to get it."""
    monkeypatch.setitem(sys.modules, "socks", None)
    monkeypatch.setenv("ALL_PROXY", f"{scheme}://user:open-sesame@127.0.0.1:1080")
    result = evocall(*DIAL)
    assert (result.code, far.requests) == (10, [])
    assert f"ALL_PROXY is '{scheme}://…@127.0.0.1:1080'" in result.err
    assert "PySocks" in result.err
    assert evocall("doctor").code == 10


@pytest.mark.parametrize("variable", ["HTTPS_PROXY", "ALL_PROXY"])
def test_a_broken_proxy_that_nobody_would_ask_does_not_matter(evocall, far, name, monkeypatch, variable):
    """Neither for a host that NO_PROXY names nor for this machine."""
    monkeypatch.setenv(variable, "garbage::://")
    monkeypatch.setenv("NO_PROXY", name)
    assert evocall(*DIAL).code == 0
    assert evocall("dial", "+18145550100", "--flow", FLOW, "--sandbox").code == 0


def test_no_proxy_is_honoured(evocall, far, name, monkeypatch):
    with FaultServer(connecting) as proxy:
        monkeypatch.setenv("HTTPS_PROXY", proxy.base_url)
        monkeypatch.setenv("NO_PROXY", f"example.com,{name}")
        result = evocall(*DIAL)
    assert (result.code, len(far.calls), proxy.connections) == (0, 1, 0)


def test_the_password_of_a_proxy_reaches_the_proxy_and_no_message(evocall, far, monkeypatch):
    with FaultServer(answering(http("407 Proxy Authentication Required"))) as proxy:
        monkeypatch.setenv("HTTPS_PROXY", proxy.base_url.replace("//", "//user:open-sesame@"))
        result = evocall(*DIAL, "--verbose")
    assert "proxy-authorization" in proxy.requests[0].headers
    assert "open-sesame" not in result.out + result.err
    assert "dXNlcjpvcGVuLXNlc2FtZQ" not in result.out + result.err


def place_through(proxy: str, base_url: str, **times: float) -> object:
    """One POST by way of a proxy."""
    with pytest.MonkeyPatch.context() as environment:
        environment.setenv("HTTPS_PROXY", proxy)
        login = Credential("manager@example.com", "rings-nobody", "the test")
        service = Service(Profile("test", base_url, login.username, **times), login)
    with contextlib.closing(service):
        return service.place(DialRequest(FLOW, "+18145550100"))


class Tunnel:
    """A proxy's script: says yes to CONNECT and passes bytes on to a port of this machine, both ways."""

    def __init__(self, port: int) -> None:
        self.port = port

    def __call__(self, visit: Visit) -> None:
        """Play it."""
        visit.read()
        with socket.create_connection(("127.0.0.1", self.port)) as onward:
            visit.send(b"HTTP/1.1 200 Connection established\r\n\r\n")
            visit.join(onward)


@pytest.mark.parametrize("secure", [False, True])
def test_an_answer_that_trickles_through_a_tunnel_is_cut(authority, bundle, name, secure):
    """The timeout is for the whole answer, by whatever way it comes; the proxy itself may speak TLS too."""

    def trickle(visit: Visit) -> None:
        visit.read()
        visit.send(b"HTTP/1.1 200 OK\r\nContent-Length: 150\r\n\r\n")
        visit.trickle(b"{" * 150)

    with (
        FaultServer(trickle, tls=serving(authority, name)) as far,
        FaultServer(Tunnel(far.port), tls=serving(authority, "127.0.0.1") if secure else None) as proxy,
    ):
        answer = place_through(proxy.base_url, f"https://{name}:{far.port}", timeout=1.0, connect_timeout=20.0)
    assert (answer.outcome, len(far.posts)) == (Outcome.UNKNOWN, 1)
    assert "in time" in str(answer.error)


def test_the_loopback_of_ipv6_is_this_machine_too(evocall, monkeypatch, missing):
    """Plain http is fine there, as on 127.0.0.1."""
    try:
        server = Sandbox(host="::1")
    except OSError:
        missing("IPv6 on the loopback interface")
    with server:
        monkeypatch.setenv("EVOCALL_BASE_URL", server.base_url)
        monkeypatch.setenv("EVOCALL_USERNAME", server.manager.username)
        monkeypatch.setenv("EVOCALL_PASSWORD", server.manager.password)
        assert evocall(*DIAL).code == 0
        assert len(server.dials()) == 1
