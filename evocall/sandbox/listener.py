"""A loopback socket and a thread for each connection made to it."""

import contextlib
import ipaddress
import socket
import ssl
import threading
from collections.abc import Callable

from evocall.sandbox.connection import Connection

_BACKLOG = 128
_PATIENCE = 2.0


class Listener:
    """Accepts connections and has `serve` answer one request after the other until it returns False."""

    def __init__(self, host: str, port: int, tls: ssl.SSLContext | None, serve: Callable[[Connection], bool]) -> None:
        self.stopping = threading.Event()
        self._socket = _bound(host, port)
        self._tls = tls
        self._serve = serve
        self._open: dict[threading.Thread, Connection] = {}
        self._thread = threading.Thread(target=self._accept, name="sandbox", daemon=True)
        address, number = self._socket.getsockname()[:2]
        shown = f"[{address}]" if ":" in address else address
        self.url = f"{'https' if tls else 'http'}://{shown}:{number}"

    def start(self) -> None:
        """Accept connections in a thread."""
        self._thread.start()

    def wait(self) -> None:
        """Wait until somebody stops it."""
        while self._thread.is_alive():
            self._thread.join(0.5)

    def stop(self) -> None:
        """Accept no more, and end the connections there are."""
        self.stopping.set()
        if self._thread.is_alive():
            # accept() does not wake up when its socket is closed, but a last visitor wakes it everywhere.
            with contextlib.suppress(OSError), socket.create_connection(self._socket.getsockname()[:2], _PATIENCE):
                self._thread.join(_PATIENCE)
        self._socket.close()
        conversations = list(self._open.items())
        for _, connection in conversations:
            connection.hang_up()
        for thread, _ in conversations:
            thread.join(_PATIENCE)

    def _accept(self) -> None:
        while not self.stopping.is_set():
            try:
                sock, _ = self._socket.accept()
            except OSError:
                self.stopping.wait(0.05)
                continue
            connection = Connection(sock)
            thread = threading.Thread(target=self._converse, args=(connection,), daemon=True)
            self._open[thread] = connection
            thread.start()

    def _converse(self, connection: Connection) -> None:
        # A client that goes away, at whatever moment, is no error of ours.
        with contextlib.suppress(OSError, EOFError), connection:
            if self._tls:
                connection.secure(self._tls)
            while not self.stopping.is_set() and self._serve(connection):
                pass
        self._open.pop(threading.current_thread(), None)


def _bound(host: str, port: int) -> socket.socket:
    try:
        address = ipaddress.ip_address("127.0.0.1" if host == "localhost" else host)
    except ValueError:
        address = None
    if address is None or not address.is_loopback:
        message = f"the sandbox listens on loopback only, not on {host!r}"
        raise ValueError(message)
    family = socket.AF_INET6 if isinstance(address, ipaddress.IPv6Address) else socket.AF_INET
    return socket.create_server((str(address), port), family=family, backlog=_BACKLOG)
