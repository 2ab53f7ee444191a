"""HTTP/1.1 on a socket: requests come in, bytes go out."""

import contextlib
import socket
import ssl
import struct
import time
from dataclasses import dataclass, field
from types import TracebackType
from typing import Self

_HEAD_LIMIT = 1 << 20
_CHUNK = 1 << 16
_NO_LINGER = struct.pack("ii", 1, 0)


class MalformedRequestError(Exception):
    """The bytes that arrived are not an HTTP request."""


@dataclass(slots=True)
class Received:
    """One request as it arrived; `path` includes the query, `at` is monotonic seconds."""

    method: str
    path: str
    headers: list[tuple[str, str]]
    body: bytes
    at: float
    http10: bool = False
    _named: dict[str, str] = field(init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        self._named = {name.lower(): value for name, value in self.headers}

    def header(self, name: str) -> str | None:
        """The value of the header called `name` (in lower case), None when it was not sent."""
        return self._named.get(name)

    @property
    def chunked(self) -> bool:
        """Whether the body came with `Transfer-Encoding: chunked`."""
        return "chunked" in self._named.get("transfer-encoding", "").lower()

    @property
    def wants_close(self) -> bool:
        """Whether the client will send nothing more on this connection."""
        connection = self._named.get("connection", "").lower()
        return "close" in connection or (self.http10 and "keep-alive" not in connection)


class Connection:
    """One client's connection, closed on leaving its context. Reading past its end raises EOFError."""

    def __init__(self, sock: socket.socket) -> None:
        sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self._sock = sock
        self._buffer = bytearray()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self.hang_up()
        self._sock.close()

    def secure(self, tls: ssl.SSLContext) -> None:
        """Speak TLS from here on."""
        wrapped = tls.wrap_socket(self._sock, server_side=True, do_handshake_on_connect=False)
        self._sock = wrapped
        wrapped.do_handshake()

    def receive(self) -> Received:
        """Wait for the next request and read all of it."""
        head = self._until(b"\r\n\r\n").lstrip(b"\r\n").decode("latin-1")
        start, *lines = head.split("\r\n")
        try:
            method, target, version = start.split(" ")
        except ValueError:
            raise MalformedRequestError(start) from None
        headers = []
        for line in lines:
            name, colon, value = line.partition(":")
            if not colon:
                raise MalformedRequestError(line)
            headers.append((name, value.strip()))
        request = Received(method, _origin_form(target), headers, b"", time.monotonic(), version == "HTTP/1.0")
        if (request.header("expect") or "").lower() == "100-continue":
            self.send(b"HTTP/1.1 100 Continue\r\n\r\n")
        request.body = self._chunks() if request.chunked else self._exactly(_size(request.header("content-length")))
        return request

    def send(self, data: bytes) -> None:
        """Send `data` in one go."""
        self._sock.sendall(data)

    def reset(self) -> None:
        """Break the connection off with a TCP reset instead of an orderly end."""
        self._sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _NO_LINGER)
        self._sock.close()

    def hang_up(self) -> None:
        """End both directions, which also wakes a thread that is waiting to read."""
        with contextlib.suppress(OSError):
            self._sock.shutdown(socket.SHUT_RDWR)

    def _fill(self) -> None:
        data = self._sock.recv(_CHUNK)
        if not data:
            raise EOFError
        self._buffer += data

    def _until(self, mark: bytes) -> bytes:
        while (end := self._buffer.find(mark)) < 0:
            if len(self._buffer) > _HEAD_LIMIT:
                raise MalformedRequestError
            self._fill()
        found = bytes(self._buffer[:end])
        del self._buffer[: end + len(mark)]
        return found

    def _exactly(self, size: int) -> bytes:
        while len(self._buffer) < size:
            self._fill()
        found = bytes(self._buffer[:size])
        del self._buffer[:size]
        return found

    def _chunks(self) -> bytes:
        body = bytearray()
        while size := _size(self._until(b"\r\n").split(b";")[0].decode("latin-1"), base=16):
            body += self._exactly(size)
            self._exactly(2)
        while self._until(b"\r\n"):
            pass
        return bytes(body)


def _origin_form(target: str) -> str:
    if target.lower().startswith(("http://", "https://")):
        return "/" + target.split("://", 1)[1].partition("/")[2]
    return target


def _size(text: str | None, base: int = 10) -> int:
    try:
        size = int(text or "0", base)
    except ValueError:
        raise MalformedRequestError(text) from None
    if size < 0:
        raise MalformedRequestError(text)
    return size
