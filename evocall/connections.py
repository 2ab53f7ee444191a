"""The connections under an exchange: they tell when the first byte of a request leaves, and insist on whole headers.

All that is needed of the insides of http.client, urllib3 and requests' adapter is here.
"""

import http.client
from typing import Any

from requests.adapters import HTTPAdapter
from urllib3.connection import HTTPConnection, HTTPSConnection
from urllib3.connectionpool import HTTPConnectionPool, HTTPSConnectionPool

from evocall.flight import current


class _HeadersCut(http.client.HTTPException):
    """The headers are not whole: the connection ended within them, or a line of them is none."""


class _WholeHeaders(http.client.HTTPResponse):
    """http.client's response, which insists on whole headers: what a bad line hides may be the body's length."""

    def begin(self) -> None:
        whole: Any = self.fp
        self.fp = lines = _Lines(whole)  # type: ignore[assignment] # all that begin does with it is read lines
        super().begin()
        self.fp = whole
        if lines.last not in (b"\r\n", b"\n") or self.msg.defects:
            raise _HeadersCut


class _Lines:
    """A file that remembers the last line read from it."""

    def __init__(self, file: Any) -> None:
        self.file, self.last = file, b""

    def readline(self, limit: int = -1) -> bytes:
        self.last = self.file.readline(limit)
        return self.last

    def close(self) -> None:
        self.file.close()

    def flush(self) -> None:
        self.file.flush()


class _Watched:
    """Mixed into urllib3's connections: tells the flight when the request itself, not a proxy's CONNECT, is sent."""

    _connecting = False
    response_class = _WholeHeaders

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


class _PlainPool(HTTPConnectionPool):
    ConnectionCls = _PlainConnection


class _TlsPool(HTTPSConnectionPool):
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
