"""One HTTP exchange that knows whether a byte of the request may have left.

requests and urllib3 do the work. What is added: a mark at the moment the first byte goes to the socket
(`connections`), a deadline for the whole answer (`flight`), a limit on its size, and nothing that could replace or leak
the credential: no .netrc, no redirects, no cookies unless asked for.
"""

import os
import re
import socket
import ssl
import time
import zlib
from collections.abc import Callable, Mapping
from importlib.util import find_spec
from typing import Any, NamedTuple
from urllib.parse import urlsplit

import requests
import urllib3

from evocall.address import is_loopback
from evocall.connections import Adapter
from evocall.errors import ConfigError
from evocall.flight import Flight, current

LARGEST_ANSWER = 5 * 1024 * 1024  # bytes
TOO_LONG = f"it is longer than {LARGEST_ANSWER // 1024 // 1024} MiB"
CHUNK = 64 * 1024
NO_CONTENT = 204
PROXY_SCHEMES = {"http", "https", "socks4", "socks4a", "socks5", "socks5h"}
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
            if reply.flaw and flight.signalled:
                raise Cut(left=True)
        except (requests.RequestException, urllib3.exceptions.HTTPError, OSError, ValueError) as error:
            if flight.signalled:  # and the KeyboardInterrupt came up in a finalizer, where Python loses it
                raise Cut(left=True) from None
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
    proxy_for(base)  # or a mistake in the environment would look like a fault of the network
    session = _Session()
    session.trust_env = False
    session.proxies = _proxies(base)
    session.verify = _extra_authorities()
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
    """The address of the proxy by which requests go there, None when they go straight, as they do to this machine.

    Raises ConfigError for one by which no request can ever go.
    """
    address = requests.utils.select_proxy(base_url, _proxies(base_url))
    if address is None:
        return None
    scheme = _scheme_of_proxy(address)
    if scheme is None:
        raise _bad_proxy(address, "which is no address of a proxy", hint="Write it as http://HOST:PORT.")
    if scheme.startswith("socks") and find_spec("socks") is None:
        hint = "Install PySocks beside evocall (pipx inject evocall pysocks), or name a proxy that speaks HTTP."
        raise _bad_proxy(address, "and SOCKS needs the package PySocks, which is not installed", hint=hint)
    return address


def _proxies(base: str) -> dict[str, str]:
    return {} if is_loopback(urlsplit(base).hostname or "") else dict(requests.utils.get_environ_proxies(base))


def _scheme_of_proxy(address: str) -> str | None:
    """How the proxy is spoken to; None when nobody can be reached by such an address."""
    try:
        read = urllib3.util.parse_url(address if "://" in address else f"http://{address}")
        (read.host or "").encode("idna")
    except (urllib3.exceptions.LocationValueError, ValueError):
        return None
    return read.scheme if read.host and read.port != 0 and read.scheme in PROXY_SCHEMES else None


def _bad_proxy(address: str, why: str, *, hint: str) -> ConfigError:
    """The error names the variable; a login in the address is not shown, however badly it is written."""
    names = ("https_proxy", "HTTPS_PROXY", "all_proxy", "ALL_PROXY")
    variable = next((name for name in names if os.environ.get(name) == address), "The system's proxy")
    shown = re.sub(r"^([A-Za-z0-9+.-]*://)?.*@", r"\1…@", address, flags=re.DOTALL)
    return ConfigError(f"{variable} is {shown!r}, {why}.", hint=hint, code="proxy")


def authorities() -> str:
    """The file or directory of the certificate authorities that are trusted. Raises ConfigError as `Wire` does."""
    found = _extra_authorities()
    return found if isinstance(found, str) else requests.utils.DEFAULT_CA_BUNDLE_PATH


def _extra_authorities() -> str | bool:
    """The file or directory of extra certificate authorities; True when none is named."""
    named = _named_bundle()
    if named is None:
        return True
    name, path = named
    if not os.path.exists(path):  # noqa: PTH110 - the variable may hold any text
        raise ConfigError(f"{name} is {path!r}, and there is no such file.", code="ca_bundle")
    return path


def _named_bundle() -> tuple[str, str] | None:
    """The variable that names extra authorities, as curl and requests read it, and its value."""
    values = ((name, os.environ.get(name)) for name in ("REQUESTS_CA_BUNDLE", "CURL_CA_BUNDLE"))
    return next(((name, path) for name, path in values if path), None)


def _body(response: requests.Response, flight: Flight) -> tuple[bytes, str | None]:
    """As much of the body as came, and what is wrong with it."""
    body = bytearray()
    try:
        for chunk in response.raw.stream(CHUNK, decode_content=False):
            body += chunk
            if len(body) > LARGEST_ANSWER:
                return bytes(body[:LARGEST_ANSWER]), TOO_LONG
    except (requests.RequestException, urllib3.exceptions.HTTPError, OSError) as error:
        return bytes(body), "it did not arrive in time" if flight.late or _is_timeout(error) else "it broke off"
    if flight.late:  # a cut by the clock looks like an orderly end to an answer without a length
        return bytes(body), "it did not arrive in time"
    encoding = response.headers.get("content-encoding", "identity").strip().lower()
    has_none = encoding in {"", "identity"} or response.status_code == NO_CONTENT
    return (bytes(body), None) if has_none else _decoded(bytes(body), encoding)


def _decoded(body: bytes, encoding: str) -> tuple[bytes, str | None]:
    """The body without a compression that nobody has asked for, and what is wrong with it."""
    if encoding not in {"gzip", "x-gzip", "deflate"}:
        return body, f"it is encoded as {encoding}"
    reader = zlib.decompressobj(zlib.MAX_WBITS | 32)  # the sum means: gzip or zlib, whichever it is
    try:
        plain = reader.decompress(body, LARGEST_ANSWER + 1)
    except zlib.error:
        return body, "its compression is broken"
    if len(plain) > LARGEST_ANSWER:
        return plain[:LARGEST_ANSWER], TOO_LONG
    return plain, None if reader.eof and not reader.unused_data else "it broke off"


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
        name, path = _named_bundle() or ("requests", requests.utils.DEFAULT_CA_BUNDLE_PATH)
        return NotSent("ca_bundle", f"the file named by {name} holds no certificates: {path}", passing=False)
    if found := _first(causes, ssl.SSLError):
        passing = isinstance(found, ssl.SSLEOFError | ssl.SSLZeroReturnError)
        return NotSent("tls", f"the TLS handshake failed ({found.reason or found})", passing=passing)
    if found := _first(causes, OSError):
        text = found.strerror or "the connection broke"
        return NotSent("connection_failed", text[0].lower() + text[1:], passing=True)
    return NotSent("connection_failed", str(error), passing=False)
