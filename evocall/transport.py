"""One HTTP exchange that knows whether a byte of the request may have left.

requests and urllib3 do the work. What is added: a mark at the moment the first byte goes to the socket
(`connections`), a deadline for the whole answer (`flight`), a limit on its size, and nothing that could replace or leak
the credential: no .netrc, no redirects, no cookies unless asked for.
"""

import os
import socket
import ssl
import time
from collections.abc import Callable, Mapping
from typing import Any, NamedTuple
from urllib.parse import urlsplit

import requests
import urllib3

from evocall.address import is_loopback
from evocall.connections import Adapter
from evocall.errors import ConfigError
from evocall.flight import Flight, current

LARGEST_ANSWER = 5 * 1024 * 1024  # bytes
CHUNK = 64 * 1024
LONGEST_IDLE = 3.0  # seconds; a server closes idle connections when it likes, and a request may just miss that
NO_CERTIFICATES = {"NO_CERTIFICATE_OR_CRL_FOUND", "NO_START_LINE", "PEM_LIB"}


class Reply(NamedTuple):
    """What came back. `flaw` says what is wrong with the body when it is not whole, None when it is."""

    status: int
    reason: str
    headers: Mapping[str, str]
    body: bytes
    flaw: str | None = None

    @property
    def media_type(self) -> str:
        """What the body claims to be, in lower case, since names of media types ignore it (RFC 9110, 8.3.1)."""
        return self.headers.get("content-type", "").lower()


class NotSent(Exception):
    """No byte of the request left; `passing` is True when trying again may help."""

    def __init__(self, code: str, why: str, *, passing: bool) -> None:
        super().__init__(why)
        self.code, self.why, self.passing = code, why, passing


class NoAnswer(Exception):
    """The request, or part of it, left, and no answer came."""

    def __init__(self, code: str, why: str) -> None:
        super().__init__(why)
        self.code, self.why = code, why


class Cut(KeyboardInterrupt):
    """Ctrl-C or SIGTERM during an exchange; `left` says whether part of the request was sent."""

    def __init__(self, *, left: bool) -> None:
        super().__init__()
        self.left = left


class Wire:
    """Exchanges with one host. Times are in seconds; `trace` is told of each request and reply."""

    def __init__(
        self,
        base_url: str,
        headers: Mapping[str, str],
        *,
        connect_timeout: float,
        timeout: float,
        cookies: bool = False,
        trace: Callable[[requests.PreparedRequest, Reply | None], None] | None = None,
    ) -> None:
        self._base = base_url.rstrip("/")
        self._times = (connect_timeout, timeout)
        self._trace = trace
        self._session = _session(self._base, headers, cookies=cookies)
        self._last_used = time.monotonic()

    def exchange(
        self,
        method: str,
        path: str,
        *,
        body: bytes | None = None,
        params: Mapping[str, str] | None = None,
        patience: float | None = None,
        may_leave: Callable[[], bool] = lambda: True,
    ) -> Reply:
        """Send one request once. Raises NotSent, NoAnswer or Cut; a reply of any status is returned.

        `patience` shortens both times for this exchange. `may_leave` is asked when there is a connection, right before
        the first byte goes out; when it says no, Withdrawn is raised.
        """
        connecting, answering = (min(limit, patience or limit) for limit in self._times)
        try:
            asked = requests.Request(method, self._base + path, data=body, params=params)
            request = self._session.prepare_request(asked)
        except (requests.RequestException, UnicodeError) as error:
            raise NotSent("bad_address", str(error), passing=False) from error
        if time.monotonic() - self._last_used > LONGEST_IDLE:
            self._session.close()
        flight = current.flight = Flight(answering, may_leave)
        reply = None
        try:
            reply = self._reply(request, flight, (connecting, answering))
        except (requests.RequestException, urllib3.exceptions.HTTPError, OSError, ValueError) as error:
            if flight.left:
                raise _no_answer(error, flight, answering) from error
            raise not_sent(error) from error
        except KeyboardInterrupt:
            raise Cut(left=flight.left) from None
        finally:
            flight.end()
            current.flight = None
            self._last_used = time.monotonic()
            if self._trace:
                self._trace(request, reply)
        return reply

    def close(self) -> None:
        """Close the connections."""
        self._session.close()

    def _reply(self, request: requests.PreparedRequest, flight: Flight, times: tuple[float, float]) -> Reply:
        with self._session.send(
            request,
            stream=True,
            timeout=times,
            allow_redirects=False,
            proxies=self._session.proxies,
            verify=self._session.verify,
        ) as response:
            body, flaw = _body(response, flight)
            headers = {name.lower(): value for name, value in response.headers.items()}
            return Reply(response.status_code, response.reason or "", headers, body, flaw)


class _Session(requests.Session):
    """Follows nothing, and does not read a redirect's body, however long, to find out where it would lead."""

    def get_redirect_target(self, resp: Any) -> None:  # noqa: ARG002 - as requests calls it
        return None


def _session(base: str, headers: Mapping[str, str], *, cookies: bool) -> requests.Session:
    session = _Session()
    session.trust_env = False
    session.proxies = _proxies(base)
    session.verify = _bundle()
    session.headers = requests.structures.CaseInsensitiveDict({"Accept-Encoding": "identity", **headers})
    session.mount("https://", Adapter())
    session.mount("http://", Adapter())
    if not cookies:
        session.cookies = _NoCookies()
    return session


class _NoCookies(requests.cookies.RequestsCookieJar):
    """Keeps none: ServiceStack ends the session of a request that brings both a cookie and Basic."""

    def extract_cookies(self, response: Any, request: Any) -> None:
        """Left in the response."""


def proxy_for(base_url: str) -> str | None:
    """The address of the proxy by which requests go there, None when they go straight, as they do to this machine."""
    return requests.utils.select_proxy(base_url, _proxies(base_url))


def _proxies(base: str) -> dict[str, str]:
    return {} if is_loopback(urlsplit(base).hostname or "") else dict(requests.utils.get_environ_proxies(base))


def authorities() -> str:
    """The file or directory of the certificate authorities that are trusted. Raises ConfigError as `Wire` does."""
    found = _bundle()
    return found if isinstance(found, str) else requests.utils.DEFAULT_CA_BUNDLE_PATH


def _bundle() -> str | bool:
    """The file or directory of extra certificate authorities, as curl and requests read it from the environment."""
    for name in ("REQUESTS_CA_BUNDLE", "CURL_CA_BUNDLE"):
        path = os.environ.get(name)
        if path and not os.path.exists(path):  # noqa: PTH110 - the variable may hold any text
            raise ConfigError(f"{name} is {path!r}, and there is no such file.", code="ca_bundle")
        if path:
            return path
    return True


def _body(response: requests.Response, flight: Flight) -> tuple[bytes, str | None]:
    """As much of the body as came, and what is wrong with it."""
    body = bytearray()
    try:
        for chunk in response.iter_content(CHUNK):
            body += chunk
            if len(body) > LARGEST_ANSWER:
                return bytes(body[:LARGEST_ANSWER]), f"it is longer than {LARGEST_ANSWER // 1024 // 1024} MiB"
    except (requests.RequestException, urllib3.exceptions.HTTPError, OSError) as error:
        return bytes(body), "it did not arrive in time" if flight.late or _is_timeout(error) else "it broke off"
    # A cut by the clock looks like an orderly end to an answer without a length.
    return bytes(body), "it did not arrive in time" if flight.late else None


def _causes(error: BaseException) -> list[BaseException]:
    """The error and all that it wraps, outermost first; requests and urllib3 hide the reason in four places."""
    found: list[BaseException] = []
    waiting: list[Any] = [error]
    while waiting:
        one = waiting.pop(0)
        if isinstance(one, BaseException) and one not in found:
            found.append(one)
            waiting += [*one.args, getattr(one, "reason", None), one.__cause__, one.__context__]
    return found


def _first(causes: list[BaseException], *kinds: type[BaseException]) -> Any:
    return next((cause for cause in causes if isinstance(cause, kinds)), None)


def _is_timeout(error: BaseException) -> bool:
    return _first(_causes(error), TimeoutError, requests.Timeout, urllib3.exceptions.TimeoutError) is not None


def _no_answer(error: BaseException, flight: Flight, seconds: float) -> NoAnswer:
    if flight.late or _is_timeout(error):
        return NoAnswer("timeout", f"no answer came within {seconds:g} seconds")
    return NoAnswer("connection_lost", "the connection was lost before a usable answer came")


def not_sent(error: BaseException) -> NotSent:
    """Why nothing was sent, in words; the order goes from the particular to the general."""
    causes = _causes(error)
    if found := _first(causes, ssl.SSLCertVerificationError):
        return NotSent("tls_certificate", f"its certificate was not accepted: {found.verify_message}", passing=False)
    if _first(causes, urllib3.exceptions.ProxyError, requests.exceptions.ProxyError):
        refused = str(causes[-1])
        return NotSent("proxy", f"the proxy did not let us through ({refused})", passing="Tunnel" not in refused)
    if found := _first(causes, socket.gaierror):
        return NotSent("dns", f"its name could not be resolved ({found.strerror or found})", passing=True)
    if _first(causes, ConnectionRefusedError):
        return NotSent("connection_refused", "the connection was refused", passing=True)
    if _is_timeout(error):
        return NotSent("connect_timeout", "no connection was made in time", passing=True)
    if (found := _first(causes, ssl.SSLError)) and found.reason in NO_CERTIFICATES:
        return NotSent("ca_bundle", "the file named by REQUESTS_CA_BUNDLE holds no certificates", passing=False)
    if found := _first(causes, ssl.SSLError):
        passing = isinstance(found, ssl.SSLEOFError | ssl.SSLZeroReturnError)
        return NotSent("tls", f"the TLS handshake failed ({found.reason or found})", passing=passing)
    if found := _first(causes, OSError):
        text = found.strerror or "the connection broke"
        return NotSent("connection_failed", text[0].lower() + text[1:], passing=True)
    return NotSent("connection_failed", str(error), passing=False)
