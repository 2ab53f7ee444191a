"""The way to the service, step by step: proxy, names, connection, TLS, first answer. No login takes part."""

import os
import socket
from collections.abc import Callable
from contextlib import closing
from datetime import UTC, datetime, timedelta
from enum import StrEnum
from pathlib import Path
from typing import Any
from urllib.parse import SplitResult, unquote, urlsplit

from evocall import answers, transport
from evocall.errors import EvocallError, Unavailable
from evocall.model import PORTS, Credential, Profile
from evocall.patience import within
from evocall.refusals import Refusals
from evocall.service import HEADERS, basic
from evocall.transport import NoAnswer, NotSent, Reply, Wire

RENEWAL = 14  # days before the end of a certificate from which on its renewal is late
DRIFT = timedelta(seconds=30)
SOCKS_PORT = 1080
PROXY_VARIABLES = ("HTTPS_PROXY", "https_proxy", "ALL_PROXY", "all_proxy")
CHECK_PROXY = "Check HTTPS_PROXY and NO_PROXY."


class Status(StrEnum):
    """What came of a check."""

    OK = "ok"
    WARNING = "warning"
    FAILED = "failed"
    SKIPPED = "skipped"


Finding = tuple[Status, str, str | None]
Trace = Callable[[Any, Reply | None], None]


class Way:
    """The way to the service of a profile: the proxy on it, names, connections, TLS, and the first answer."""

    def __init__(self, profile: Profile, patience: float, trace: Trace | None) -> None:
        self.profile = profile
        self._patience, self._trace = patience, trace
        self._base = urlsplit(profile.base_url)
        self._proxy: SplitResult | None = None

    @property
    def _first(self) -> tuple[str, int]:
        """Host and port that we connect to ourselves: those of the proxy, if there is one."""
        hop = self._proxy or self._base
        return str(hop.hostname), hop.port or PORTS.get(hop.scheme, SOCKS_PORT)

    def proxy(self) -> Finding:
        """Which proxy the requests go by, and who says so."""
        address = transport.proxy_for(self.profile.base_url)
        if address is None:
            return Status.OK, f"none{self._why_straight()}", None
        variable = next((name for name in PROXY_VARIABLES if os.environ.get(name) == address), "the system's settings")
        self._proxy = urlsplit(address if "://" in address else f"http://{address}")
        host, port = self._first
        return Status.OK, f"{self._proxy.scheme}://{host}:{port}, from {variable}", None

    def _why_straight(self) -> str:
        """Why no proxy is used although there is one in the environment."""
        if not any(os.environ.get(name) for name in PROXY_VARIABLES):
            return ""
        host = self._base.hostname
        return f", since {host} is this machine" if self.profile.host == "localhost" else f", since NO_PROXY has {host}"

    def dns(self) -> Finding:
        """The addresses of the first host on the way."""
        host, port = self._first
        try:
            found = within(self._patience, lambda: socket.getaddrinfo(host, port, type=socket.SOCK_STREAM))
        except TimeoutError:
            late = NotSent("dns", f"its name was not resolved within {self._patience:g} seconds", passing=True)
            raise self._unreachable(late) from None
        except (OSError, UnicodeError) as error:
            raise self._unreachable(transport.not_sent(error)) from error
        addresses = ", ".join(dict.fromkeys(str(entry[4][0]) for entry in found))
        return Status.OK, f"{host} is an address already" if addresses == host else f"{host} is {addresses}", None

    def tcp(self) -> Finding:
        """Whether the first host on the way takes a connection."""

        def connect() -> str:
            with socket.create_connection(self._first, self._patience) as connection:
                return str(connection.getpeername()[0])

        try:
            address = within(self._patience, connect)
        except OSError as error:
            raise self._unreachable(transport.not_sent(error)) from error
        return Status.OK, f"connected to {address}, port {self._first[1]}", None

    def tls(self) -> Finding:
        """The service's certificate: who vouches for it, and for how long."""
        if self._base.scheme == "http":
            return Status.SKIPPED, f"plain http, as {self._base.hostname} is this machine", None
        if self._proxy and self._proxy.scheme != "http":
            return Status.SKIPPED, f"a proxy of the kind {self._proxy.scheme} is in between; the sign-in shows it", None
        authorities = Path(transport.authorities())
        try:
            version, certificate = within(self._patience, lambda: self._handshake(authorities))
        except Exception as error:
            reason = error if isinstance(error, NotSent) else transport.not_sent(error)
            raise self._refused(reason) from error
        return _lasting(version, certificate)

    def _handshake(self, authorities: Path) -> tuple[str, dict[str, Any]]:
        """TLS version and certificate, checked as for a dial; by way of a proxy through a CONNECT."""
        import http.client
        import ssl

        folder = authorities.is_dir()
        context = ssl.create_default_context(
            cafile=None if folder else str(authorities), capath=str(authorities) if folder else None
        )
        connection = http.client.HTTPSConnection(*self._first, timeout=self._patience, context=context)
        if self._proxy:
            connection.set_tunnel(str(self._base.hostname), self._base.port or PORTS["https"], _login_to(self._proxy))
        with closing(connection):
            try:
                connection.connect()
            except OSError as error:
                if "Tunnel" in str(error):
                    raise NotSent("proxy", f"the proxy did not let us through ({error})", passing=False) from error
                raise
            secure: Any = connection.sock
            return secure.version(), secure.getpeercert()

    def clock(self) -> Finding:
        """How far our clock is from that of the service, by an answer that needs no login."""
        there = self.profile
        wire = Wire(
            there.base_url, HEADERS, connect_timeout=there.connect_timeout, timeout=there.timeout, trace=self._trace
        )
        with closing(wire):
            try:
                return _drift(wire.exchange("GET", "/auth/status"))
            except NotSent as error:
                raise self._refused(error) from error
            except NoAnswer as error:
                raise Unavailable(
                    f"{there.base_url} did not answer: {error.why}.",
                    hint="Is base_url right, and is the service well?",
                    code=error.code,
                ) from error

    def _unreachable(self, reason: NotSent) -> EvocallError:
        """The error for the first host on the way, be it the service or the proxy."""
        if self._proxy is None:
            return self._refused(reason)
        host, port = self._first
        return Unavailable(
            f"The proxy {host}, port {port}, could not be reached: {reason.why}.", hint=CHECK_PROXY, code="proxy"
        )

    def _refused(self, reason: NotSent) -> EvocallError:
        """The error that a dial would have ended with; no login plays a part in it."""
        return Refusals(self.profile, Credential("nobody", "", "nowhere")).unreachable(reason)


def _login_to(proxy: SplitResult) -> dict[str, str]:
    """The header that a proxy with a login in its address wants."""
    if proxy.username is None:
        return {}
    login = Credential(unquote(proxy.username), unquote(proxy.password or ""), "the proxy's address")
    return {"Proxy-Authorization": basic(login)}


def _lasting(version: str, certificate: dict[str, Any]) -> Finding:
    """The days that a certificate has left; its issuer shows a proxy that reads what passes."""
    import ssl

    names = dict(pair for group in certificate["issuer"] for pair in group)
    end = datetime.fromtimestamp(ssl.cert_time_to_seconds(certificate["notAfter"]), UTC)
    days = (end - datetime.now(UTC)).days
    issuer = names.get("organizationName") or names.get("commonName") or "an authority without a name"
    message = f"{version}, certificate by {issuer}, good for {days} more days"
    if days < RENEWAL:
        return Status.WARNING, message, f"Whoever runs the service should renew it before {end:%Y-%m-%d}."
    return Status.OK, message, None


def _drift(reply: Reply) -> Finding:
    """How far apart the two clocks are, to about a second."""
    ahead = answers.ahead(reply)
    if ahead is None:
        return Status.SKIPPED, "the service does not tell its time", None
    seconds = f"{abs(ahead.total_seconds()):,.0f}"
    message = f"{seconds} s {'behind' if ahead > timedelta(0) else 'ahead of'} the service's"
    if abs(ahead) > DRIFT:
        return Status.WARNING, message, "Set the clock of this machine: hours and caps go by it."
    return Status.OK, "as the service's" if seconds == "0" else message, None
