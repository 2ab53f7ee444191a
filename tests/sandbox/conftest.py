"""A running sandbox with a clock to turn, and a client that talks plain HTTP to it."""

import base64
import http.client
import json
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any
from urllib.parse import urlsplit

import pytest

from evocall.sandbox import Account, Sandbox


@dataclass
class Clock:
    """A clock that stands still until a test turns it."""

    now: float = 1_795_424_639.189

    def __call__(self) -> float:
        """The time it shows."""
        return self.now


@dataclass
class Reply:
    """An answer, read to its end."""

    status: int
    reason: str
    headers: http.client.HTTPMessage
    body: bytes

    @property
    def json(self) -> Any:
        """The body."""
        return json.loads(self.body)

    @property
    def error(self) -> Any:
        """The ResponseStatus of the body."""
        return self.json["responseStatus"]

    @property
    def cookies(self) -> dict[str, str]:
        """What Set-Cookie sets, without the attributes."""
        pairs = [cookie.partition(";")[0].partition("=") for cookie in self.headers.get_all("Set-Cookie", [])]
        return {name: value for name, _, value in pairs}


def basic(username: str, password: str, encoding: str = "utf-8") -> dict[str, str]:
    """The header of a Basic sign-in."""
    return {"Authorization": "Basic " + base64.b64encode(f"{username}:{password}".encode(encoding)).decode()}


def jar(reply: Reply) -> dict[str, str]:
    """The header that brings the cookies of an answer back."""
    return {"Cookie": "; ".join(f"{name}={value}" for name, value in reply.cookies.items())}


class Client:
    """Sends requests exactly as told; `None` as a header value leaves a default header out."""

    def __init__(self, sandbox: Sandbox) -> None:
        self.sandbox = sandbox
        self.manager = basic(sandbox.manager.username, sandbox.manager.password)
        self.customer = basic(sandbox.customer.username, sandbox.customer.password)

    def send(self, verb: str, path: str, body: bytes | None = None, **headers: str | None) -> Reply:
        """One request on a connection of its own, `content_type` becoming Content-Type."""
        sent = {"Accept": "application/json", "Content-Type": "application/json" if body is not None else None}
        sent |= {name.replace("_", "-").title(): value for name, value in headers.items()}
        url = urlsplit(self.sandbox.base_url)
        connection = http.client.HTTPConnection(url.hostname or "", url.port)
        try:
            connection.request(verb, path, body, {name: value for name, value in sent.items() if value is not None})
            response = connection.getresponse()
            return Reply(response.status, response.reason, response.headers, response.read())
        finally:
            connection.close()

    def get(self, path: str, **headers: str | None) -> Reply:
        """Read something as the manager."""
        return self.send("GET", path, **(self.manager | headers))

    def post(self, body: bytes | str, path: str = "/sessions/outgoing", **headers: str | None) -> Reply:
        """Ask for a call as the manager, with this very body."""
        data = body.encode() if isinstance(body, str) else body
        return self.send("POST", path, data, **(self.manager | headers))

    def dial(
        self, number: str = "+18144043093", flow: str = "665f1c0000000000000000aa", caller_id: str | None = None
    ) -> Reply:
        """Ask for a call as the manager."""
        fields = {"flowId": flow, "numberToDial": number} | ({"callerId": caller_id} if caller_id else {})
        return self.post(json.dumps(fields))

    def log_in(self, account: Account, **more: object) -> Reply:
        """Start a session."""
        body = json.dumps({"userName": account.username, "password": account.password, **more}).encode()
        return self.send("POST", "/auth/credentials", body)


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def sandbox(clock: Clock) -> Iterator[Sandbox]:
    with Sandbox(clock=clock) as running:
        yield running


@pytest.fixture
def client(sandbox: Sandbox) -> Client:
    return Client(sandbox)


@pytest.fixture
def client_of() -> type[Client]:
    """For tests that start a sandbox of their own."""
    return Client


@pytest.fixture(name="basic")
def basic_header() -> Any:
    return basic


@pytest.fixture(name="jar")
def cookie_header() -> Any:
    return jar
