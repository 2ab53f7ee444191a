"""The socket: keep-alive, framing, start and stop."""

import _thread
import contextlib
import errno
import http.client
import shutil
import socket
import ssl
import subprocess
import threading
from urllib.parse import urlsplit

import pytest

from evocall.sandbox import Sandbox

GOOD = b'{"flowId":"665f1c0000000000000000aa","numberToDial":"+18144043093"}'


def connected(sandbox):
    """A bare connection."""
    url = urlsplit(sandbox.base_url)
    return socket.create_connection((url.hostname, url.port), 10)


def talk(sandbox, data):
    """Everything that comes back until the server closes."""
    with connected(sandbox) as sock:
        sock.sendall(data)
        return b"".join(iter(lambda: sock.recv(65536), b""))


def dial(client, *headers, body=GOOD):
    """The bytes of a request for a call."""
    lines = ["POST /sessions/outgoing HTTP/1.1", "Host: x", "Accept: application/json", *headers]
    lines += ["Content-Type: application/json", f"Authorization: {client.manager['Authorization']}"]
    return "\r\n".join(lines).encode() + b"\r\n\r\n" + body


def test_a_connection_serves_many_requests(client):
    """Keep-alive, also through a 404."""
    url = urlsplit(client.sandbox.base_url)
    with contextlib.closing(http.client.HTTPConnection(url.hostname, url.port)) as connection:
        connection.connect()
        sock = connection.sock
        for path in ("/auth/status", "/nowhere", "/auth/status"):
            connection.request("GET", path)
            connection.getresponse().read()
            assert connection.sock is sock


def test_requests_may_come_at_once(client):
    """Both are answered, in order, and the wish to close is granted."""
    first = dial(client, f"Content-Length: {len(GOOD)}")
    last = dial(client, f"Content-Length: {len(GOOD)}", "Connection: close")
    assert talk(client.sandbox, first + last).count(b"HTTP/1.1 200 OK\r\n") == 2


def test_http_1_0_is_closed(client):
    """Unless it asks for more."""
    assert talk(client.sandbox, b"GET /nowhere HTTP/1.0\r\n\r\n").endswith(b"404")


def test_chunked_bodies_are_ignored(client):
    """They are read off the connection, kept in `requests`, and never looked at."""
    chunks = b"8;x=y\r\n" + GOOD[:8] + b"\r\n%x\r\n" % len(GOOD[8:]) + GOOD[8:] + b"\r\n0\r\nTrailer: x\r\n\r\n"
    answer = talk(client.sandbox, dial(client, "Transfer-Encoding: chunked", "Connection: close", body=chunks))
    assert answer.startswith(b"HTTP/1.1 400 NotEmpty\r\n")
    assert client.sandbox.requests[0].body == GOOD


def test_a_post_without_length_is_a_411(client):
    """With a small page, and recorded like any other."""
    answer = talk(client.sandbox, dial(client, body=b""))
    assert answer.startswith(b"HTTP/1.1 411 Length Required\r\n")
    assert len(client.sandbox.dials()) == 1


def test_a_client_that_waits_is_told_to_continue(client):
    """Expect: 100-continue."""
    with connected(client.sandbox) as sock:
        sock.sendall(dial(client, f"Content-Length: {len(GOOD)}", "Expect: 100-continue", body=b""))
        assert sock.recv(100) == b"HTTP/1.1 100 Continue\r\n\r\n"
        sock.sendall(GOOD)
        assert sock.recv(65536).startswith(b"HTTP/1.1 200 OK\r\n")


@pytest.mark.parametrize(
    "data",
    [
        b"nonsense\r\n\r\n",
        b"GET / HTTP/1.1\r\nno colon\r\n\r\n",
        b"POST / HTTP/1.1\r\nContent-Length: many\r\n\r\n",
        b"POST / HTTP/1.1\r\nContent-Length: -1\r\n\r\n",
        b"POST / HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\nxyz\r\n",
        b"x" * (1 << 21),
    ],
)
def test_what_is_no_http_is_a_400(sandbox, data):
    """The connection ends, the server goes on."""
    with contextlib.suppress(ConnectionError):
        assert talk(sandbox, data).startswith(b"HTTP/1.1 400 Bad Request\r\n")
    assert talk(sandbox, b"GET / HTTP/1.0\r\n\r\n").endswith(b"404")


def test_long_queries_and_headers_are_fine(client):
    """20,000 bytes each, as measured."""
    assert client.get(f"/flows?x={'y' * 20_000}", x_long="z" * 20_000).status == 200


def test_a_large_body_is_fine(client):
    """A megabyte of an unknown field."""
    body = GOOD[:-1] + b',"x":"' + b"y" * (1 << 20) + b'"}'
    assert client.post(body).status == 200


def test_a_client_that_goes_away_leaves_no_trace(client, capfd):
    """In the middle of head or body, or with a reset: nothing is printed, no request recorded."""
    for data in (b"POST /sess", dial(client, "Content-Length: 999")):
        with connected(client.sandbox) as sock:
            sock.sendall(data)
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, b"\1\0\0\0\0\0\0\0")
    assert client.dial().status == 200
    client.sandbox.stop()
    assert (len(client.sandbox.requests), capfd.readouterr()) == (1, ("", ""))


def test_running_out_of_files_is_survived():
    """A connection that cannot be accepted yet is accepted later."""
    resource = pytest.importorskip("resource")
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    pausing = threading.Event()

    class Stopping(threading.Event):
        def wait(self, timeout=None):
            pausing.set()
            return super().wait(timeout)

    sandbox = Sandbox()
    sandbox._listener.stopping = Stopping()
    url = urlsplit(sandbox.base_url)
    with sandbox, socket.socket() as first, socket.socket() as second:
        resource.setrlimit(resource.RLIMIT_NOFILE, (3, hard))
        try:
            # An accept() that already waits holds its descriptor: it may take the first, never the second.
            for sock in (first, second):
                sock.settimeout(10)
                sock.connect((url.hostname, url.port))
            assert pausing.wait(10)
        finally:
            resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))
        second.sendall(b"GET / HTTP/1.0\r\n\r\n")
        assert second.recv(65536).endswith(b"404")


def test_calls_can_be_placed_from_many_threads(client):
    """None is lost, none has the ID of another."""
    threads = [threading.Thread(target=lambda: [client.dial() for _ in range(10)]) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len({call.id for call in client.sandbox.calls}) == len(client.sandbox.dials()) == 80


@pytest.mark.parametrize("host", ["0.0.0.0", "192.0.2.1", "::", "example.com", ""])
def test_listens_on_loopback_only(host):
    """Anything else is refused before a socket is opened."""
    with pytest.raises(ValueError, match="loopback only"):
        Sandbox(host=host)


def test_a_taken_port_is_an_error(sandbox):
    """The system's own."""
    with pytest.raises(OSError, match="in use") as taken:
        Sandbox(port=urlsplit(sandbox.base_url).port)
    assert taken.value.errno == errno.EADDRINUSE


def test_localhost_is_the_loopback_address():
    """So that no client tries another address first."""
    with Sandbox(host="localhost") as sandbox:
        assert sandbox.base_url.startswith("http://127.0.0.1:")


def test_ipv6_is_written_in_brackets(client_of):
    """And works."""
    try:
        sandbox = Sandbox(host="::1")
    except OSError:
        pytest.skip("no IPv6 on this machine")
    with sandbox:
        assert sandbox.base_url.startswith("http://[::1]:")
        assert client_of(sandbox).dial().status == 200


@pytest.mark.skipif(not shutil.which("openssl"), reason="makes its certificate with openssl")
def test_tls_marks_cookies_secure_and_survives_plain_http(tmp_path):
    """A client that speaks no TLS is dropped."""
    pem = tmp_path / "both.pem"
    command = ["openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes"]
    command += ["-subj", "/CN=localhost", "-keyout", tmp_path / "key.pem", "-out", pem]
    subprocess.run(command, check=True, capture_output=True)
    tls = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    tls.load_cert_chain(pem, tmp_path / "key.pem")
    with Sandbox(tls=tls) as sandbox, connected(sandbox):
        url = urlsplit(sandbox.base_url)
        with contextlib.suppress(ConnectionError):
            assert b"HTTP" not in talk(sandbox, b"GET / HTTP/1.1\r\n\r\n")
        trust = ssl.create_default_context(cafile=str(pem))
        trust.check_hostname = False
        with contextlib.closing(http.client.HTTPSConnection(url.hostname, url.port, context=trust)) as connection:
            connection.request("GET", "/auth/status")
            response = connection.getresponse()
            assert (url.scheme, response.status) == ("https", 200)
            assert all(";Secure;" in cookie for cookie in response.headers.get_all("Set-Cookie"))


def test_the_address_is_known_before_the_start():
    """And nothing needs to be started to be stopped, twice."""
    sandbox = Sandbox()
    assert urlsplit(sandbox.base_url).port
    sandbox.stop()
    sandbox.stop()


def test_stop_ends_open_connections(sandbox):
    """An idle client sees the end."""
    with connected(sandbox) as sock:
        sock.sendall(b"GET / HTTP/1.1\r\n\r\n")
        assert sock.recv(65536).endswith(b"404")
        sandbox.stop()
        assert sock.recv(1) == b""
        with pytest.raises(ConnectionRefusedError):
            connected(sandbox)


def test_run_lasts_until_stop(client_of):
    """In the foreground, as `evocall sandbox` does."""
    sandbox = Sandbox()
    thread = threading.Thread(target=sandbox.run)
    thread.start()
    assert client_of(sandbox).dial().status == 200
    sandbox.stop()
    thread.join(10)
    assert not thread.is_alive()


def test_run_ends_with_ctrl_c(client_of):
    """Quietly: it is the usual way to end it."""
    sandbox = Sandbox()

    def interrupt() -> None:
        client_of(sandbox).dial()
        _thread.interrupt_main()

    thread = threading.Thread(target=interrupt)
    thread.start()
    sandbox.run()
    thread.join()
    assert len(sandbox.calls) == 1


def test_the_default_accounts_and_flows(sandbox):
    """What `evocall sandbox` prints."""
    assert (sandbox.manager.username, sandbox.manager.roles) == ("manager@example.com", ("Manager",))
    assert (sandbox.customer.username, sandbox.customer.roles) == ("customer@example.com", ("Customer",))
    names = [flow.name for flow in sandbox.flows]
    assert names == ["welcome", "alert", "reminder", "survey", "oncall", "duplicate", "duplicate"]
