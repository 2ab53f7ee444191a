"""Who may sign in, by Basic or by session cookie, and the three different 401s."""

import base64
import secrets
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from email.utils import formatdate

from evocall.sandbox.answers import Refusal, ServiceError
from evocall.sandbox.connection import Received

_TWENTY_YEARS = 20 * 365.25 * 86400
_DAY = 86400
_WRONG = Refusal(401, "Unauthorized", "Invalid Username or Password", reason="Invalid Username or Password")
_WRONG_LOGIN = Refusal(401, _WRONG.code, _WRONG.message)
_LOCKED = Refusal(401, "AuthenticationException", "This account has been locked")


@dataclass(frozen=True, slots=True)
class Account:
    """A login of the service."""

    username: str
    password: str
    roles: tuple[str, ...] = ("Manager",)
    locked: bool = False


MANAGER = Account("manager@example.com", "rings-nobody", ("Manager",))
CUSTOMER = Account("customer@example.com", "rings-nobody", ("Customer",))


@dataclass(frozen=True, slots=True)
class Identity:
    """Who asks, and the cookies to set; `refusal` when the sign-in itself was turned down."""

    account: Account | None
    cookies: tuple[str, ...] = ()
    session: str = ""
    refusal: Refusal | None = None


class SignIns:
    """The accounts and their sessions."""

    def __init__(self, accounts: Iterable[Account], *, basic: bool, secure: bool, clock: Callable[[], float]) -> None:
        self.accounts = tuple({account.username: account for account in (MANAGER, CUSTOMER, *accounts)}.values())
        self._by_name = {account.username.encode(): account for account in self.accounts}
        self._ids = {account: str(number) for number, account in enumerate(self.accounts, 1)}
        self._basic = basic
        self._secure = secure
        self._clock = clock
        self._sessions: dict[str, Account] = {}
        self._expiry = (-1, "")
        realm = "basic" if basic else "credentials"
        challenge = ("WWW-Authenticate", f'{realm} realm="/auth/{realm}"')
        self.unauthorized = Refusal(401, reason="Unauthorized", headers=(challenge,))

    def user_id(self, account: Account) -> str:
        """The ID the service knows this account by."""
        return self._ids[account]

    def identify(self, request: Received) -> Identity:
        """Find out who asks. Basic beats a session cookie and ends that session."""
        credentials = self._credentials(request) if self._basic else None
        session = _session_cookie(request)
        if credentials:
            self._sessions.pop(session, None)
            return self._check(request, *credentials, remember=False)
        if session:
            return Identity(self._sessions.get(session), session=session)
        return Identity(None, self._fresh_cookies(request, secrets.token_hex(10), secrets.token_hex(10)))

    def log_in(self, request: Received, username: str, password: str, *, remember: bool) -> Identity:
        """Start a session, as POST /auth/credentials does."""
        self._sessions.pop(_session_cookie(request), None)
        identity = self._check(request, username.encode(), password.encode(), remember=remember)
        if identity.account:
            self._sessions[identity.session] = identity.account
        if identity.refusal is _WRONG:
            return Identity(None, identity.cookies, refusal=_WRONG_LOGIN)
        return identity

    def log_out(self, request: Received) -> tuple[str, ...]:
        """End the session and give the cookies that remove it from the client."""
        self._sessions.pop(_session_cookie(request), None)
        expired = formatdate(self._clock() - _DAY, usegmt=True)
        names = ("ss-id", "ss-pid", "X-UAId", "ss-tok")
        return tuple(f"{name}=;path=/;expires={expired};SameSite=None;HttpOnly" for name in names)

    def _check(self, request: Received, username: bytes, password: bytes, *, remember: bool) -> Identity:
        account = self._by_name.get(username)
        temporary, permanent = secrets.token_hex(10), secrets.token_hex(10)
        expires = self._expires()
        opt = f"ss-opt={'perm' if remember else 'temp'};path=/;{expires};SameSite=None;HttpOnly"
        cookies = (*self._fresh_cookies(request, temporary, permanent), opt)
        if account is not None and account.locked:
            return Identity(None, cookies, refusal=_LOCKED)
        if account is None or account.password.encode() != password:
            return Identity(None, cookies, refusal=_WRONG)
        user = f"X-UAId={self._ids[account]};path=/;{expires};SameSite=None;HttpOnly"
        return Identity(account, (*cookies, user), permanent if remember else temporary)

    def _fresh_cookies(self, request: Received, temporary: str, permanent: str) -> tuple[str, ...]:
        secure = "Secure;" if self._secure or request.header("x-forwarded-proto") == "https" else ""
        return (
            f"ss-id={temporary};path=/;{secure}SameSite=None;HttpOnly",
            f"ss-pid={permanent};path=/;{self._expires()};{secure}SameSite=None;HttpOnly",
        )

    def _expires(self) -> str:
        second = int(self._clock())
        if self._expiry[0] != second:
            self._expiry = (second, f"expires={formatdate(second + _TWENTY_YEARS, usegmt=True)}")
        return self._expiry[1]

    @staticmethod
    def _credentials(request: Received) -> tuple[bytes, bytes] | None:
        scheme, _, encoded = (request.header("authorization") or "").partition(" ")
        if scheme.lower() != "basic":
            return None
        try:
            username, _, password = base64.b64decode(encoded.strip(), validate=True).partition(b":")
        except ValueError:
            message = "The input is not a valid Base-64 string"
            raise ServiceError(Refusal(400, "FormatException", message)) from None
        return (username, password) if password else None


def _session_cookie(request: Received) -> str:
    pairs = (pair.strip().partition("=") for pair in (request.header("cookie") or "").split(";"))
    cookies = {name: value for name, _, value in pairs}
    return cookies.get("ss-pid" if cookies.get("ss-opt") == "perm" else "ss-id", "")
