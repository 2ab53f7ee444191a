"""The Evo Voice API, as far as evocall uses it, and what each of its answers means.

Operations and fields are those of the metadata pages at evovoice.io/json/metadata?op=NAME; the shapes of errors are
ServiceStack's. What one POST to `/sessions/outgoing` came to is one of three things: placed, not placed, unknown.
"""

import base64
import json
from collections.abc import Callable, Mapping
from dataclasses import replace
from datetime import timedelta
from typing import Any, NamedTuple

from evocall import __version__, answers
from evocall.address import refuse_plain_http
from evocall.errors import (
    AuthError,
    EvocallError,
    Forbidden,
    Interrupted,
    OutcomeUnknown,
    RateLimited,
    Unavailable,
)
from evocall.flight import Withdrawn
from evocall.model import BASIC, COOKIES, Answer, Credential, DialRequest, Outcome, Profile
from evocall.refusals import Refusals
from evocall.transport import Cut, NoAnswer, NotSent, Reply, Wire

HEADERS = {
    "Accept": "application/json",
    "Content-Type": "application/json",
    "User-Agent": f"evocall/{__version__}",
}
DIALLING_ROLES = {"Manager", "SystemAdministrator"}


class Identity(NamedTuple):
    """Who the service says we are; `roles` is None when it does not tell."""

    username: str | None
    roles: tuple[str, ...] | None
    accounts: tuple[str, ...] = ()

    @property
    def may_dial(self) -> bool | None:
        """Whether a role allows NewOutgoingSession; None when the roles are not known."""
        return None if self.roles is None else bool(DIALLING_ROLES & set(self.roles))

    def refuse_without_role(self, username: str) -> None:
        """Raise Forbidden when it is known that no role allows it; `username` is for a service that tells no name."""
        if self.may_dial is False:
            raise Forbidden(
                f"{self.username or username} is signed in, but has neither the role Manager nor SystemAdministrator.",
                hint=f"Roles: {', '.join(self.roles or ()) or 'none'}. An administrator can grant one.",
            )


class Service:
    """One login at one host. `trace(request, reply)` sees each exchange, for `--verbose`.

    `ahead` is by how much the service's clock was before ours at its last answer to a read, to about a second.
    """

    def __init__(
        self, profile: Profile, credential: Credential, trace: Callable[[Any, Reply | None], None] | None = None
    ) -> None:
        refuse_plain_http(profile.base_url)
        self._profile, self._credential = profile, credential
        self._refusals = Refusals(profile, credential)
        self.ahead: timedelta | None = None
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

    def place(self, request: DialRequest, may_leave: Callable[[], bool] = lambda: True) -> Answer:
        """Send the one POST once, if it may leave when there is a connection, and say what it came to."""
        fresh = not self._signed_in
        try:
            if not self._signed_in:
                self.sign_in()
        except Cut:
            return _interrupted(Cut(left=False))
        except EvocallError as error:
            passing = isinstance(error, Unavailable | RateLimited)
            return Answer(Outcome.NOT_PLACED, error=error, resend=passing, retry_after=error.retry_after)
        try:
            body = json.dumps(request.body).encode()
            reply = self._wire.exchange("POST", "/sessions/outgoing", body=body, may_leave=may_leave)
        except Withdrawn:
            return Answer(Outcome.NOT_PLACED, error=_stood_still(), resend=True, retry_after=0.0)
        except NotSent as error:
            return Answer(Outcome.NOT_PLACED, error=self._refusals.unreachable(error), resend=error.passing)
        except NoAnswer as error:
            return Answer(Outcome.UNKNOWN, error=_unknown(f"the request was sent, but {error.why}", error.code))
        except Cut as cut:
            return _interrupted(cut)
        answer = self._meaning(reply)
        if isinstance(answer.error, AuthError) and self._profile.sign_in == COOKIES and not fresh:
            self._signed_in = False  # the session has run out
            return replace(answer, resend=True, retry_after=0.0)
        return answer

    def sign_in(self) -> Identity:
        """`POST /auth/credentials`, keeping its cookies. Raises AuthError when the login is refused."""
        login = {
            "provider": "credentials",
            "userName": self._credential.username,
            "password": self._credential.password,
            "rememberMe": False,
        }
        answer = self._asked("POST", "/auth/credentials", body=json.dumps(login).encode())
        self._signed_in = True
        return _identity(answer)

    def whoami(self) -> Identity:
        """Who we are, after a protected read has shown that the credential is good. Raises AuthError when it is not."""
        signed_in = None if self._signed_in else self.sign_in()
        self.read("GET", "/accounts", params={"countPerPage": "1"})
        status = _identity(self.read("GET", "/auth/status"))
        return status if signed_in is None or status.roles is not None else signed_in

    def close(self) -> None:
        """Close the connections."""
        self._wire.close()

    def read(
        self, method: str, path: str, *, params: Mapping[str, str] | None = None, patience: float | None = None
    ) -> dict[str, Any]:
        """The JSON object that any request but the dialling one answers with, empty for an empty answer.

        `patience` is a limit, in seconds, for connecting and for the answer each. Raises the EvocallError that says why
        there is no such object.
        """
        if not self._signed_in:
            self.sign_in()
        try:
            return self._asked(method, path, params=params, patience=patience)
        except AuthError:
            if self._profile.sign_in == BASIC:
                raise
            self.sign_in()  # the session has run out
            return self._asked(method, path, params=params, patience=patience)

    def _asked(
        self,
        method: str,
        path: str,
        *,
        body: bytes | None = None,
        params: Mapping[str, str] | None = None,
        patience: float | None = None,
    ) -> dict[str, Any]:
        try:
            reply = self._wire.exchange(method, path, body=body, params=params, patience=patience)
        except NotSent as error:
            raise self._refusals.unreachable(error) from error
        except NoAnswer as error:
            raise Unavailable(f"{self._profile.base_url} did not answer: {error.why}.", code=error.code) from error
        self._compare_clocks(reply)
        if not 200 <= reply.status < 300:  # noqa: PLR2004 - RFC 9110, successful
            raise self._refusals.of(reply) or _unavailable(reply)
        value = answers.value_of(reply)
        if reply.flaw or answers.is_page(reply) or not isinstance(value, dict | None):
            raise Unavailable(
                f"{self._profile.base_url} answered {path} with something that is not Evo Voice's.",
                hint="Is base_url right? Is a proxy or a login page in between?",
                code="strange_answer",
            )
        said = answers.said(value)
        if said.is_error:
            raise Unavailable(
                f"{self._profile.base_url} answered {path} with an error.",
                code="error_answer",
                said=str(said) or None,
                fields=said.fields,
            )
        return value or {}

    def _compare_clocks(self, reply: Reply) -> None:
        ahead = answers.ahead(reply)
        if ahead is not None:
            self.ahead = ahead

    def _meaning(self, reply: Reply) -> Answer:
        """The three-way outcome of the POST."""
        value = answers.value_of(reply)
        if 200 <= reply.status < 300:  # noqa: PLR2004 - RFC 9110, successful
            doubt = answers.trouble(reply)
            if doubt is None:
                return Answer(Outcome.PLACED, reply.status, answers.session_id(value), value)
            return _open(reply, value, *doubt)
        error = self._refusals.of(reply)
        if error is None:
            what = f"the service answered {reply.status} after the request was sent"
            return _open(reply, value, what, "server_error")
        return Answer(
            Outcome.NOT_PLACED,
            reply.status,
            response=value,
            error=error,
            resend=isinstance(error, RateLimited | Unavailable),
            retry_after=answers.retry_after(reply),
        )


def basic(credential: Credential) -> str:
    """The Authorization header of RFC 7617 in UTF-8, which ServiceStack expects; requests would send Latin-1."""
    pair = f"{credential.username}:{credential.password}".encode()
    return f"Basic {base64.b64encode(pair).decode()}"


def _stood_still() -> Unavailable:
    return Unavailable(
        "Nothing was sent: this process stood still, or had no journal, for so long that others may have dialled.",
        hint="evocall history shows whether one of them has.",
        code="stood_still",
    )


def _unknown(what: str, code: str) -> OutcomeUnknown:
    return OutcomeUnknown(
        f"{what}, so the call may have been placed.",
        hint="evocall reconcile asks the service; dialling again may ring twice, and needs --again for ten minutes.",
        code=code,
    )


def _open(reply: Reply, value: Any, what: str, code: str) -> Answer:
    """The outcome is open, whatever came back; what it said is passed on."""
    error, said = _unknown(what, code), answers.said(value)
    error.said, error.fields = str(said) or None, said.fields
    return Answer(Outcome.UNKNOWN, reply.status, response=value, error=error)


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
