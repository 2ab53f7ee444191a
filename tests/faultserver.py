"""A server on loopback that misbehaves on purpose, connection by connection, and counts what reached it."""

import contextlib
import secrets
import socket
import ssl
import struct
import threading
from collections.abc import Callable
from dataclasses import dataclass
from types import TracebackType
from typing import Self

_NO_LINGER = struct.pack("ii", 1, 0)
_PATIENCE = 10.0


@dataclass(frozen=True)
class Received:
    """One whole request, byte for byte."""

    head: bytes
    body: bytes

    @property
    def method(self) -> str:
        """The first word."""
        return self.head.split(b" ", 1)[0].decode()

    @property
    def headers(self) -> dict[str, str]:
        """Names in lower case."""
        lines = self.head.decode("latin-1").split("\r\n")[1:]
        return {name.lower(): value.strip() for name, _, value in (line.partition(":") for line in lines)}


class Visit:
    """One connection, for a script to play on."""

    def __init__(self, sock: socket.socket, server: "FaultServer") -> None:
        self._sock, self._server = sock, server

    def secure(self, context: ssl.SSLContext) -> None:
        """Speak TLS from here on."""
        wrapped = context.wrap_socket(self._sock, server_side=True, do_handshake_on_connect=False)
        self._sock = wrapped
        wrapped.do_handshake()

    def read(self) -> Received:
        """Wait for a whole request, and count it."""
        data = b""
        while b"\r\n\r\n" not in data:
            data += self._more()
        head, _, body = data.partition(b"\r\n\r\n")
        request = Received(head, b"")
        while len(body) < int(request.headers.get("content-length", "0")):
            body += self._more()
        request = Received(head, body)
        self._server.note(request)
        return request

    def peek(self) -> None:
        """Wait for the first byte, and leave it where it is."""
        self._sock.recv(1, socket.MSG_PEEK)
        self._server.touched.set()

    def send(self, data: bytes) -> None:
        """Send it all at once."""
        self._sock.sendall(data)

    def trickle(self, data: bytes) -> None:
        """Send byte after byte, slowly, for as long as the client is there."""
        for n in range(len(data)):
            self._sock.sendall(data[n : n + 1])
            if self._server.stopping.wait(0.02):
                return

    def join(self, onward: socket.socket) -> None:
        """Pass all bytes on, both ways, until both ends have said their last."""
        back = threading.Thread(target=_pump, args=(onward, self._sock), daemon=True)
        back.start()
        _pump(self._sock, onward)
        back.join(_PATIENCE)

    def reset(self) -> None:
        """End the connection with a TCP reset."""
        self._sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _NO_LINGER)
        self._sock.close()

    def stay_silent(self) -> None:
        """Do nothing until the client has gone or the server is stopped."""
        while self._sock.recv(65536):
            pass

    def hang_up(self) -> None:
        """End both directions; wakes whoever reads or writes."""
        with contextlib.suppress(OSError):
            socket.socket.shutdown(self._sock, socket.SHUT_RDWR)

    def close(self) -> None:
        """End the connection in order."""
        with contextlib.suppress(OSError):
            self._sock.close()

    def _more(self) -> bytes:
        data = self._sock.recv(65536)
        if not data:
            raise EOFError
        return data


def _pump(source: socket.socket, target: socket.socket) -> None:
    with contextlib.suppress(OSError):
        while data := source.recv(65536):
            target.sendall(data)
    with contextlib.suppress(OSError):
        socket.socket.shutdown(target, socket.SHUT_RDWR)


Script = Callable[[Visit], None]


class FaultServer:
    """Plays the first script for the first connection and so on; the last script for all that follow.

    With `tls`, the handshake comes first; a handshake that fails is a connection without requests.
    """

    def __init__(self, *scripts: Script, tls: ssl.SSLContext | None = None) -> None:
        self.connections = 0
        self.requests: list[Received] = []
        self.touched = threading.Event()
        self.stopping = threading.Event()
        self._scripts, self._tls = scripts, tls
        self._socket = socket.create_server(("127.0.0.1", 0))
        self.port: int = self._socket.getsockname()[1]
        self.base_url = f"{'https' if tls else 'http'}://127.0.0.1:{self.port}"
        self._visits: list[tuple[threading.Thread, Visit]] = []
        self._thread = threading.Thread(target=self._accept, daemon=True)

    @property
    def posts(self) -> list[Received]:
        """The POSTs that arrived whole, oldest first."""
        return [request for request in self.requests if request.method == "POST"]

    def note(self, request: Received) -> None:
        """Count a request that has arrived."""
        self.requests.append(request)
        self.touched.set()

    def stop(self) -> None:
        """Accept no more and end all connections."""
        self.stopping.set()
        # A last visitor wakes accept(), which closing the socket does not do everywhere.
        with contextlib.suppress(OSError):
            socket.create_connection(("127.0.0.1", self.port), _PATIENCE).close()
        self._thread.join(_PATIENCE)
        self._socket.close()
        for thread, visit in self._visits:
            visit.hang_up()
            thread.join(_PATIENCE)

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self.stop()

    def _accept(self) -> None:
        while True:
            sock, _ = self._socket.accept()
            if self.stopping.is_set():
                sock.close()
                return
            visit = Visit(sock, self)
            script = self._scripts[min(self.connections, len(self._scripts) - 1)]
            self.connections += 1
            thread = threading.Thread(target=self._play, args=(visit, script), daemon=True)
            self._visits.append((thread, visit))
            thread.start()

    def _play(self, visit: Visit, script: Script) -> None:
        # A client that has had enough is no failure of the test.
        with contextlib.suppress(OSError, EOFError), contextlib.closing(visit):
            if self._tls:
                visit.secure(self._tls)
            script(visit)


class NeverAccepting:
    """A port whose queue of waiting connections is full, so that a further one is never completed."""

    def __enter__(self) -> Self:
        self._socket = socket.socket()
        self._socket.bind(("127.0.0.1", 0))
        self._socket.listen(0)
        self.base_url = f"http://127.0.0.1:{self._socket.getsockname()[1]}"
        self._waiting = []
        for _ in range(8):
            waiting = socket.socket()
            waiting.setblocking(False)
            waiting.connect_ex(self._socket.getsockname())
            self._waiting.append(waiting)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        for waiting in self._waiting:
            waiting.close()
        self._socket.close()


def free_port() -> int:
    """A port on which nobody listens, and which no system gives to a connection or to a server without a port."""
    while True:
        port = 10_000 + secrets.randbelow(20_000)
        with contextlib.suppress(OSError), socket.create_server(("127.0.0.1", port)):
            return port


def http(status: str, body: bytes = b"", *headers: str, kind: str | None = "application/json") -> bytes:
    """An answer on the wire: `http("200 OK", b"{}")`, with its length."""
    lines = [f"HTTP/1.1 {status}", f"Content-Length: {len(body)}", "Connection: close", *headers]
    if body and kind:
        lines.append(f"Content-Type: {kind}")
    return "\r\n".join([*lines, "", ""]).encode("latin-1") + body


def answering(data: bytes) -> Script:
    """Reads the request, sends these bytes, closes in order."""

    def script(visit: Visit) -> None:
        visit.read()
        visit.send(data)

    return script


def trickling(data: bytes, slowly: bytes) -> Script:
    """Reads the request, sends the first part at once and the rest byte by byte."""

    def script(visit: Visit) -> None:
        visit.read()
        visit.send(data)
        visit.trickle(slowly)

    return script


def silent(visit: Visit) -> None:
    """Reads the request and never answers."""
    visit.read()
    visit.stay_silent()


def closing(visit: Visit) -> None:
    """Reads the request and closes in order, without an answer."""
    visit.read()


def resetting(visit: Visit) -> None:
    """Reads the request and resets the connection."""
    visit.read()
    visit.reset()


def resetting_unread(visit: Visit) -> None:
    """Resets the connection when the request begins to arrive, without reading it."""
    visit.peek()
    visit.reset()


def closing_unread(visit: Visit) -> None:
    """Closes when the request begins to arrive, without reading it."""
    visit.peek()


def closing_at_once(visit: Visit) -> None:
    """Closes what it has just accepted."""
    visit.close()
