"""The Evo Voice API, as far as evocall uses it, and what each of its answers means.

Operations and fields are those of the metadata pages at evovoice.io/json/metadata?op=NAME; the shapes of errors are
ServiceStack's. What one POST to `/sessions/outgoing` came to is one of three things: placed, not placed, unknown.
"""

import base64
import json
import os
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any
from urllib.parse import urlsplit

from evocall import __version__, answers
from evocall.address import refuse_plain_http
from evocall.answers import Said
from evocall.errors import (
    AuthError,
    ConfigError,
    EvocallError,
    Forbidden,
    Interrupted,
    NotFound,
    OutcomeUnknown,
    RateLimited,
    Rejected,
    Unavailable,
)
from evocall.model import Answer, Credential, DialRequest, Outcome, Profile
from evocall.transport import Cut, NoAnswer, NotSent, Reply, Wire

HEADERS = {
    "Accept": "application/json",
    "Content-Type": "application/json",
    "User-Agent": f"evocall/{__version__}",
}
BASIC, COOKIES = "basic", "cookies"
DIALLING_ROLES = {"Manager", "SystemAdministrator"}
MOVED = {301, 307, 308}
FOUND = {302, 303}


@dataclass(frozen=True)
class Identity:
    """Who the service says we are; `roles` is None when it does not tell."""

    username: str | None
    roles: tuple[str, ...] | None
    accounts: tuple[str, ...] = ()

    @property
    def may_dial(self) -> bool | None:
        """Whether a role allows NewOutgoingSession; None when the roles are not known."""
        return None if self.roles is None else bool(DIALLING_ROLES & set(self.roles))


class Service:
    """One login at one host. `trace(request, reply)` sees each exchange, for `--verbose`."""

    def __init__(
        self, profile: Profile, credential: Credential, trace: Callable[[Any, Reply | None], None] | None = None
    ) -> None:
        refuse_plain_http(profile.base_url)
        self._profile, self._credential = profile, credential
        self._signed_in = profile.sign_in == BASIC
        headers = HEADERS if profile.sign_in == COOKIES else {**HEADERS, "Authorization": basic(credential)}
        self._wire = Wire(
            profile.base_url,
            headers,
            connect_timeout=profile.connect_timeout,
            timeout=profile.timeout,
            cookies=profile.sign_in == COOKIES,
            trace=trace,
        )

    def place(self, request: DialRequest) -> Answer:
        """Send the one POST once, and say what it came to."""
        try:
            if not self._signed_in:
                self.sign_in()
        except Cut:
            return _interrupted(Cut(left=False))
        except EvocallError as error:
            return Answer(Outcome.NOT_PLACED, error=error, resend=isinstance(error, Unavailable | RateLimited))
        try:
            reply = self._wire.exchange("POST", "/sessions/outgoing", body=json.dumps(request.body).encode())
        except NotSent as error:
            return Answer(Outcome.NOT_PLACED, error=self._unreachable(error), resend=error.passing)
        except NoAnswer as error:
            return Answer(Outcome.UNKNOWN, error=_unknown(f"the request was sent, but {error.why}", error.code))
        except Cut as cut:
            return _interrupted(cut)
        return self._meaning(reply)

    def sign_in(self) -> Identity:
        """`POST /auth/credentials`, keeping its cookies. Raises AuthError when the login is refused."""
        login = {
            "provider": "credentials",
            "userName": self._credential.username,
            "password": self._credential.password,
            "rememberMe": False,
        }
        answer = self._read("POST", "/auth/credentials", body=json.dumps(login).encode())
        self._signed_in = True
        return _identity(answer)

    def whoami(self) -> Identity:
        """Who we are, after a protected read has shown that the credential is good. Raises AuthError when it is not."""
        signed_in = None if self._signed_in else self.sign_in()
        self._read("GET", "/accounts", params={"countPerPage": "1"})
        status = _identity(self._read("GET", "/auth/status"))
        return status if signed_in is None or status.roles is not None else signed_in

    def close(self) -> None:
        """Close the connections."""
        self._wire.close()

    def _read(
        self, method: str, path: str, *, body: bytes | None = None, params: Mapping[str, str] | None = None
    ) -> dict[str, Any]:
        """The JSON object that a harmless request answers with, empty for an empty answer."""
        try:
            reply = self._wire.exchange(method, path, body=body, params=params)
        except NotSent as error:
            raise self._unreachable(error) from error
        except NoAnswer as error:
            raise Unavailable(f"{self._profile.base_url} did not answer: {error.why}.", code=error.code) from error
        if not 200 <= reply.status < 300:  # noqa: PLR2004 - RFC 9110, successful
            raise self._refusal(reply) or _unavailable(reply)
        value = answers.value_of(reply)
        if reply.flaw or answers.is_page(reply) or not isinstance(value, dict | None):
            raise Unavailable(
                f"{self._profile.base_url} answered {path} with something that is not Evo Voice's.",
                hint="Is base_url right? Is a proxy or a login page in between?",
                code="strange_answer",
            )
        return value or {}

    def _meaning(self, reply: Reply) -> Answer:
        """The three-way outcome of the POST."""
        value = answers.value_of(reply)
        if 200 <= reply.status < 300:  # noqa: PLR2004 - RFC 9110, successful
            doubt = answers.trouble(reply)
            if doubt is None:
                return Answer(Outcome.PLACED, reply.status, answers.session_id(value), value)
            return Answer(Outcome.UNKNOWN, reply.status, response=value, error=_unknown(*doubt))
        error = self._refusal(reply)
        if error is None:
            unknown = _unknown(f"the service answered {reply.status} after the request was sent", "server_error")
            unknown.said = str(answers.said(value)) or None
            return Answer(Outcome.UNKNOWN, reply.status, response=value, error=unknown)
        return Answer(
            Outcome.NOT_PLACED,
            reply.status,
            response=value,
            error=error,
            resend=isinstance(error, RateLimited | Unavailable),
            retry_after=answers.retry_after(reply),
        )

    def _refusal(self, reply: Reply) -> EvocallError | None:
        """The error for a status that says that nothing was done; None for one that does not say so."""
        said = answers.said(answers.value_of(reply))
        words = str(said) or None
        match reply.status:
            case 401:
                error: EvocallError = self._not_signed_in(reply, said)
            case 403:
                error = self._forbidden(reply, said)
            case 404:
                error = self._not_found(reply)
            case 429:
                error = RateLimited(
                    "The service asks for fewer requests (429).", hint="Wait a while; a lower pace avoids it."
                )
            case 503:
                error = Unavailable(
                    "The service says that it is not available (503); no call was placed.",
                    hint="It is safe to try again.",
                )
            case status if status in MOVED or status in FOUND:
                return self._redirected(reply)
            case status if 400 <= status < 500:  # noqa: PLR2004 - RFC 9110, client error
                error = Rejected(f"The service refused the request ({status}).", hint=_hint(said))
            case _:
                return None
        error.said, error.fields = words, said.fields
        return error

    def _not_signed_in(self, reply: Reply, said: Said) -> AuthError:
        """401: without a body and with a challenge when no credential was seen, with a body when it is wrong."""
        who = f"the login of {self._credential.username}, with the password from {self._credential.source}"
        if said.code is None and "www-authenticate" in reply.headers and self._profile.sign_in == BASIC:
            return AuthError(
                f"The service did not take {who}: it saw no usable credential (401).",
                hint=f"evocall login {self._profile.option} finds out which way of signing in works there.",
                code="not_signed_in",
            )
        return AuthError(
            f"The service refused {who} (401).", hint=f"evocall login {self._profile.option}", code="wrong_login"
        )

    def _forbidden(self, reply: Reply, said: Said) -> Forbidden:
        if answers.is_page(reply):
            return Forbidden(
                "An HTML page with status 403 came back: something between here and the service blocks the request.",
                hint="Ask whoever runs the proxy or firewall; evocall doctor shows what is in between.",
                code="blocked",
            )
        message = "may not do this" if said.message else "has neither the role Manager nor SystemAdministrator"
        return Forbidden(
            f"{self._credential.username} is signed in, but {message} (403).",
            hint=f"evocall whoami {self._profile.option} shows the roles; an administrator can grant one.",
        )

    def _not_found(self, reply: Reply) -> NotFound:
        """404: JSON comes from the service, anything else from a host that does not know the route."""
        if "json" in reply.media_type:
            return NotFound("The service does not know what was asked for (404).", hint="Check the flow's ID or name.")
        return NotFound(
            f"{self._profile.base_url} does not know this route (404): is it Evo Voice's, and all of it?",
            hint=f"evocall profile set base_url https://evovoice.io {self._profile.option}",
            code="no_such_route",
        )

    def _redirected(self, reply: Reply) -> EvocallError | None:
        target = reply.headers.get("location", "")
        if re.search(r"/(login|signin|sign-in)\b", urlsplit(target).path, re.IGNORECASE):
            return AuthError(
                f"The service sent us to its login page instead of an answer ({reply.status} to {target}): "
                f"it does not take the login of {self._credential.username}, or the role is wrong.",
                hint=f"evocall login {self._profile.option}",
                code="login_page",
            )
        if reply.status in FOUND:
            return None
        return ConfigError(
            f"{self._profile.base_url} has moved to {target} ({reply.status}); evocall does not follow with a login.",
            hint="If you trust that address, make it the base_url of the profile.",
            code="moved",
        )

    def _unreachable(self, error: NotSent) -> EvocallError:
        if error.code == "ca_bundle":
            path = os.environ.get("REQUESTS_CA_BUNDLE") or os.environ.get("CURL_CA_BUNDLE")
            return ConfigError(f"{error.why}: {path}.", hint="It should be a file in PEM format.", code=error.code)
        host = urlsplit(self._profile.base_url).netloc
        hints = {
            "tls_certificate": "Set REQUESTS_CA_BUNDLE to a file with your company's CA, or mend the clock.",
            "dns": "Check base_url and the network; no call was placed, so it is safe to try again.",
            "proxy": "Check HTTPS_PROXY and NO_PROXY.",
        }
        hint = hints.get(error.code, "No call was placed, so it is safe to try again.")
        return Unavailable(f"{host} could not be reached: {error.why}.", hint=hint, code=error.code)


def basic(credential: Credential) -> str:
    """The Authorization header of RFC 7617 in UTF-8, which ServiceStack expects; requests would send Latin-1."""
    pair = f"{credential.username}:{credential.password}".encode()
    return f"Basic {base64.b64encode(pair).decode()}"


def _unknown(what: str, code: str) -> OutcomeUnknown:
    return OutcomeUnknown(
        f"{what}, so the call may have been placed.",
        hint="Look whether the phone rang: dialling again may ring twice, and needs --again for ten minutes.",
        code=code,
    )


def _interrupted(cut: Cut) -> Answer:
    if cut.left:
        message = "interrupted while waiting for the answer, so the call may have been placed."
        return Answer(
            Outcome.UNKNOWN, error=Interrupted(message, hint="Look whether the phone rang before you dial again.")
        )
    return Answer(Outcome.NOT_PLACED, error=Interrupted("interrupted before the request was sent: no call was placed."))


def _unavailable(reply: Reply) -> Unavailable:
    error = Unavailable(f"The service answered {reply.status}.", hint="Try again later.", code="server_error")
    error.said = str(answers.said(answers.value_of(reply))) or None
    return error


def _hint(said: Said) -> str | None:
    fields = {entry.field for entry in said.fields}
    if "callerId" in fields:
        return "A caller ID must be a phone number that the account owns."
    return "See what it said about each field." if fields else None


def _identity(answer: Mapping[str, Any]) -> Identity:
    roles = answer.get("roles")
    if answer.get("isAuthenticated") is False or not isinstance(roles, list):
        roles = None
    names = answers.as_list(answer.get("accountNames")) or answers.as_list(answer.get("accountIds"))
    username = (
        answers.as_text(answer.get("emailAddress"))
        or answers.as_text(answer.get("userName"))
        or answers.as_text(answer.get("name"))
    )
    return Identity(username, None if roles is None else tuple(map(str, roles)), tuple(map(str, names)))
