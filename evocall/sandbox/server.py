"""The sandbox as its users see it: what is in it, what it received, start and stop."""

import ssl
import time
from collections.abc import Callable, Iterable
from email.utils import formatdate
from types import TracebackType
from typing import Self

from evocall.sandbox.accounts import Account, SignIns
from evocall.sandbox.answers import Answer, Delivery, ServiceError
from evocall.sandbox.calls import Call, Calls, Ending
from evocall.sandbox.connection import Connection, MalformedRequestError, Received
from evocall.sandbox.dialing import Dialing
from evocall.sandbox.fields import body_fields, query_fields
from evocall.sandbox.inventory import Flow, Inventory
from evocall.sandbox.listener import Listener
from evocall.sandbox.listing import Reshape, Sessions
from evocall.sandbox.reading import Reading
from evocall.sandbox.routes import ADMINISTRATORS, DIAL, Route, Routes
from evocall.sandbox.service import Service
from evocall.sandbox.signing import Signing

_LATE = 90.0
_DAY = 86400.0
_SOMEBODY_ELSE = "somebody.else@example.com"
_BAD_REQUEST = Answer(400, "Bad Request", b"<h1>Bad Request</h1>", "text/html; charset=utf-8")


class Sandbox:
    """A service that answers like Evo Voice on loopback; use it as a context manager, or `run()` it."""

    def __init__(
        self,
        *,
        port: int = 0,
        host: str = "127.0.0.1",
        tls: ssl.SSLContext | None = None,
        clock: Callable[[], float] = time.time,
        answer_after: float = 2.0,
        talk_for: float = 5.0,
        accounts: Iterable[Account] = (),
        basic: bool = True,
        extra_flows: int = 0,
        manager_may_hang_up: bool = True,
        archive_after: float = 15 * _DAY,
        shown_after: float = 0.0,
        most_per_page: int | None = None,
        reshape: Reshape | None = None,
    ) -> None:
        """Bind the port, so that `base_url` is known; `accounts` are added to the two that are always there.

        A session appears `shown_after` seconds after its call was placed, and is archived `archive_after` seconds
        after it. No list gives more than `most_per_page` rows at once. `reshape` may change every SessionInfo
        before it is written.
        """
        self._sign_ins = SignIns(accounts, basic=basic, secure=tls is not None, clock=clock)
        self._inventory = Inventory(extra_flows)
        self._calls = Calls(clock, answer_after=answer_after, talk_for=talk_for)
        sessions = Sessions(self._calls, shown_after=shown_after, archive_after=archive_after, reshape=reshape)
        dialing = Dialing(self._calls, sessions, self._inventory)
        reading = Reading(
            self._calls,
            sessions,
            self._inventory,
            manager_may_hang_up=manager_may_hang_up,
            most_per_page=most_per_page,
        )
        dial = Route(DIAL, ("POST",), "sessions/outgoing", dialing.dial, ADMINISTRATORS)
        routes = Routes([dial, *reading.routes(), *Signing(self._sign_ins).routes()])
        self._service = Service(routes, self._sign_ins)
        self.requests: list[Received] = []
        self._clock = clock
        self._stamp = (-1, "")
        self._listener = Listener(host, port, tls, self._serve)
        self.base_url = self._listener.url

    @property
    def accounts(self) -> tuple[Account, ...]:
        """All logins."""
        return self._sign_ins.accounts

    @property
    def manager(self) -> Account:
        """A login that may dial."""
        return self.accounts[0]

    @property
    def customer(self) -> Account:
        """A login that may not dial."""
        return self.accounts[1]

    @property
    def flows(self) -> tuple[Flow, ...]:
        """The flows a call can run; two of them share a name."""
        return self._inventory.flows

    @property
    def numbers(self) -> tuple[str, ...]:
        """The owned phone numbers, usable as caller ID."""
        return self._inventory.numbers

    @property
    def calls(self) -> list[Call]:
        """The calls placed so far, oldest first, whoever placed them."""
        return self._calls.placed

    def place_elsewhere(
        self,
        number: str,
        *,
        ending: Ending = Ending.ANSWERED,
        caller_id: str | None = None,
        flow: Flow | None = None,
        seconds_ago: float = 0.0,
    ) -> Call:
        """Place a call without a request, as somebody else's that began `seconds_ago`; the first flow is the default.

        Without a caller ID one of the owned numbers is picked. The number is not checked, and its fault not played.
        """
        return self._calls.place(
            number,
            flow or self.flows[0],
            caller_id or self._inventory.any_caller_id(number),
            placed_by=_SOMEBODY_ELSE,
            ending=ending,
            seconds_ago=seconds_ago,
        )

    def dials(self, number: str | None = None) -> list[Received]:
        """The requests to place a call, oldest first, optionally only those for one number."""
        dials = [request for request in list(self.requests) if self._is_dial(request)]
        return dials if number is None else [request for request in dials if _number_dialled(request) == number]

    def start(self) -> Self:
        """Serve in threads of its own."""
        self._listener.start()
        return self

    def run(self) -> None:
        """Serve until stop() is called or Ctrl-C is pressed."""
        try:
            self.start()
            self._listener.wait()
        except KeyboardInterrupt:
            pass
        finally:
            self.stop()

    def stop(self) -> None:
        """Stop serving and end all connections, pending answers included; more than once is fine."""
        self._listener.stop()

    def __enter__(self) -> Self:
        return self.start()

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self.stop()

    def _is_dial(self, request: Received) -> bool:
        match = self._service.match(request)
        return match is not None and match.route.operation == DIAL

    def _serve(self, connection: Connection) -> bool:
        try:
            request = connection.receive()
        except MalformedRequestError:
            connection.send(_BAD_REQUEST.encode(self._common_headers(), None))
            return False
        self.requests.append(request)
        answer = self._service.answer(request)
        return self._deliver(connection, request, answer)

    def _deliver(self, connection: Connection, request: Received, answer: Answer) -> bool:
        if answer.delivery is Delivery.RESET:
            connection.reset()
            return False
        if answer.delivery is Delivery.LATE and self._listener.stopping.wait(_LATE):
            return False
        data = answer.encode(self._common_headers(), request)
        if answer.delivery is Delivery.HALF:
            connection.send(data[: len(data) - len(answer.body) // 2])
            return False
        connection.send(data)
        return not (answer.closes or request.wants_close)

    def _common_headers(self) -> str:
        second = int(self._clock())
        if self._stamp[0] != second:
            lines = (
                "Vary: Accept",
                "X-Powered-By: ServiceStack/5.91 Net45/Mono/Linux",
                "Server: evocall-sandbox",
                f"Date: {formatdate(second, usegmt=True)}",
            )
            self._stamp = (second, "".join(f"{line}\r\n" for line in lines))
        return self._stamp[1]


def _number_dialled(request: Received) -> str | None:
    try:
        fields = body_fields(request) | query_fields(request.path.partition("?")[2])
    except (ServiceError, RecursionError):
        return None
    return fields.get("numbertodial")
