"""How long one exchange may take, and who ends it: a deadline for the whole answer, or a signal."""

import contextlib
import math
import select
import signal
import socket
import threading
import time
from collections.abc import Callable
from typing import Any


class Withdrawn(Exception):
    """The request must not leave any more, and no byte of it has."""


class Flight:
    """The exchange that one thread is busy with: whether bytes have left, and until when an answer may come.

    `may_leave` is asked at the last moment.
    """

    def __init__(self, seconds: float, may_leave: Callable[[], bool]) -> None:
        self.left = False
        self.late = self.signalled = False
        self.deadline = 0.0
        self._seconds, self._may_leave = seconds, may_leave
        self._socket: Any = None

    def begin(self, sock: Any) -> None:
        """Called right before the first byte goes out. Raises Withdrawn when it must not."""
        if self.left:
            return
        if not self._may_leave():
            raise Withdrawn
        self.left = True
        self._socket = sock
        self.deadline = time.monotonic() + self._seconds
        watchman.watch(self)

    def end(self) -> None:
        """The exchange is over, however it ended."""
        watchman.forget(self)

    def cut(self) -> None:
        """Wake up whoever waits for the answer, by ending the connection under them."""
        sock = self._socket
        while not isinstance(sock, socket.socket):  # TLS within a proxy's TLS
            sock = sock.socket
        with contextlib.suppress(OSError):
            socket.socket.shutdown(sock, socket.SHUT_RDWR)


class _Current(threading.local):
    """The flight of the thread that asks, None between exchanges."""

    flight: Flight | None = None


class Watchman:
    """One thread that ends exchanges whose time is up.

    Read timeouts count from the last byte, so a server that trickles would hold us for ever. A signal that arrives
    right before a blocking read would be slept through; here it ends all exchanges.
    """

    def __init__(self) -> None:
        self._flights: set[Flight] = set()
        self._lock = threading.Lock()
        self._bell: socket.socket | None = None
        self._asleep_until = math.inf

    def watch(self, flight: Flight) -> None:
        """Cut the flight when its deadline has passed."""
        with self._lock:
            self._flights.add(flight)
            bell = self._bell = self._bell or self._start()
            if flight.deadline < self._asleep_until:
                bell.send(b"\0")

    def forget(self, flight: Flight) -> None:
        """The flight has ended by itself."""
        with self._lock:
            self._flights.discard(flight)

    def listen_to_signals(self) -> None:
        """Let signals ring the bell; only for a process that is ours, since there is one such bell in a process."""
        with self._lock:
            self._bell = self._bell or self._start()
            signal.set_wakeup_fd(self._bell.fileno(), warn_on_full_buffer=False)

    def _start(self) -> socket.socket:
        ear, bell = socket.socketpair()
        bell.setblocking(False)
        threading.Thread(target=self._run, args=(ear,), daemon=True).start()
        return bell

    def _run(self, ear: socket.socket) -> None:
        while True:
            with self._lock:
                self._asleep_until = min((flight.deadline for flight in self._flights), default=math.inf)
                wait = None if self._asleep_until == math.inf else max(0.0, self._asleep_until - time.monotonic())
            rung = select.select([ear], [], [], wait)[0]
            signalled = bool(rung) and any(ear.recv(4096))
            with self._lock:  # held to the end: a connection that was let go may carry another request
                now = time.monotonic()
                for flight in [flight for flight in self._flights if signalled or flight.deadline <= now]:
                    flight.late, flight.signalled = not signalled, signalled
                    self._flights.discard(flight)
                    flight.cut()


current = _Current()
watchman = Watchman()
