"""The connections under an exchange: when the first byte of a request leaves, and what belongs to its answer.

Headers, chunks and interim answers (1xx) are read to their end or not believed, and a connection on which anything else
was seen carries no further request, whose answer it could be taken for. All that is needed of the insides of
http.client, urllib3 and requests' adapter is here.
"""

import http.client
import ssl
from typing import Any

from requests.adapters import HTTPAdapter
from urllib3.connection import HTTPConnection, HTTPSConnection
from urllib3.connectionpool import HTTPConnectionPool, HTTPSConnectionPool

from evocall.flight import current

SWITCHING, NO_CONTENT = 101, 204
MOST_INTERIM = 20  # answers; http.client limits the lines of each


class _NotWhole(http.client.HTTPException):
    """A line of the answer was cut, or is none that says what we must know: which answer this is, and how long."""


class _WholeLines:
    """A file in which a line without an end is an error, and not the last one."""

    def __init__(self, file: Any) -> None:
        self._file = file

    def readline(self, limit: int = -1) -> bytes:
        line: bytes = self._file.readline(limit)
        if not line.endswith(b"\n"):
            raise _NotWhole
        return line

    def __getattr__(self, name: str) -> Any:
        return getattr(self._file, name)


class _Response(http.client.HTTPResponse):
    """http.client's response, which also knows whether it leaves its connection in order."""

    def __init__(self, sock: Any, *args: Any, **kwargs: Any) -> None:
        super().__init__(sock, *args, **kwargs)
        self._socket = sock
        self.left_more = False

    def begin(self) -> None:
        self.fp = _WholeLines(self.fp)  # type: ignore[assignment] # for chunks, too, whose sizes are lines
        super().begin()
        if self.msg.defects or not self._is_framed():
            raise _NotWhole  # what a bad line hides may be the body's length
        self.will_close = self.will_close or not self._leaves_order()

    def _read_status(self) -> tuple[str, int, str]:
        """That of the final answer; http.client skips 100 only, and would leave what follows 103 to the next call."""
        for _ in range(MOST_INTERIM):
            version, status, reason = super()._read_status()  # type: ignore[misc]
            if not 100 <= status < 200 or status == SWITCHING:  # noqa: PLR2004 - RFC 9110, 15.2
                return version, status, reason
            http.client.parse_headers(self.fp)
        raise _NotWhole

    @property
    def _framing(self) -> tuple[str | None, str | None]:
        """The length and the transfer coding that the headers name."""
        length, coding = self.msg.get("content-length"), self.msg.get("transfer-encoding")
        return length and length.strip(), coding and coding.strip().lower()

    def _is_framed(self) -> bool:
        """Whether the headers say in words that we know where the body ends, be it with the connection."""
        length, coding = self._framing
        return coding in {None, "chunked"} and (length is None or (length.isascii() and length.isdigit()))

    def _leaves_order(self) -> bool:
        """Whether the next bytes can only be those of the next answer.

        Whoever has refused, failed, or switched to something else may yet have more to say.
        """
        length, coding = self._framing
        if self.status == NO_CONTENT:
            return coding is None and length in {None, "0"}
        return 200 <= self.status < 300 and (coding is None or length is None)  # noqa: PLR2004 - RFC 9110, successful

    def _close_conn(self) -> None:
        if self.headers is not None and not self.will_close:
            self.left_more = self._has_more()
        super()._close_conn()  # type: ignore[misc]

    def _has_more(self) -> bool:
        """Whether bytes have come that belong to no answer."""
        patience = self._socket.gettimeout()
        try:
            self._socket.settimeout(0)
            try:
                return bool(self.fp.peek(1))
            finally:
                self._socket.settimeout(patience)
        except ssl.SSLWantReadError:
            return False
        except OSError:
            return True


class _Watched:
    """Mixed into urllib3's connections: tells the flight when the request itself, not a proxy's CONNECT, is sent."""

    _connecting = False
    _last: _Response | None = None

    def response_class(self, sock: Any, *args: Any, **kwargs: Any) -> _Response:
        """What http.client makes a response with."""
        self._last = _Response(sock, *args, **kwargs)
        return self._last

    @property
    def in_order(self) -> bool:
        """Whether nothing but the last answer has come."""
        return self._last is None or not self._last.left_more

    def connect(self) -> None:
        self._connecting = True
        try:
            super().connect()  # type: ignore[misc]
        finally:
            self._connecting = False

    def send(self, data: Any) -> None:
        if self.sock is None:  # type: ignore[attr-defined]
            self.connect()
        if current.flight is not None and not self._connecting:
            current.flight.begin(self.sock)  # type: ignore[attr-defined]
        super().send(data)  # type: ignore[misc]


class _PlainConnection(_Watched, HTTPConnection):  # type: ignore[misc]
    pass


class _TlsConnection(_Watched, HTTPSConnection):  # type: ignore[misc]
    pass


class _Careful:
    """Mixed into urllib3's pools: keeps no connection that is out of order."""

    def _put_conn(self, conn: Any) -> None:
        if conn is not None and not conn.in_order:
            conn.close()
        super()._put_conn(conn)  # type: ignore[misc]


class _PlainPool(_Careful, HTTPConnectionPool):
    ConnectionCls = _PlainConnection


class _TlsPool(_Careful, HTTPSConnectionPool):
    ConnectionCls = _TlsConnection


class Adapter(HTTPAdapter):
    """requests' adapter over watched connections, also through proxies."""

    def init_poolmanager(self, *args: Any, **kwargs: Any) -> None:
        """Watch the connections that go straight."""
        super().init_poolmanager(*args, **kwargs)
        _watch(self.poolmanager)

    def proxy_manager_for(self, proxy: str, **kwargs: Any) -> Any:
        """Watch those that go by way of the proxy, too."""
        return _watch(super().proxy_manager_for(proxy, **kwargs))


def _watch(manager: Any) -> Any:
    manager.pool_classes_by_scheme = {"http": _PlainPool, "https": _TlsPool}
    return manager
