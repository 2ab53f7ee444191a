"""The /auth routes: log in, log out, and who am I."""

from evocall.sandbox.accounts import Identity, SignIns
from evocall.sandbox.answers import Refusal, ServiceError
from evocall.sandbox.dialing import empty
from evocall.sandbox.exchange import Exchange
from evocall.sandbox.inventory import COMPANY_ID, COMPANY_NAME
from evocall.sandbox.routes import Route

_NOT_SIGNED_IN = Refusal(401, "Unauthorized", "Not Authenticated")


class Signing:
    """Authenticate and GetAuthStatus."""

    def __init__(self, sign_ins: SignIns) -> None:
        self._sign_ins = sign_ins

    def routes(self) -> list[Route]:
        """The routes that need no sign-in."""
        verbs = ("GET", "POST")
        return [
            Route("GetAuthStatus", ("GET",), "auth/status", self.status, roles=None),
            Route("Authenticate", verbs, "auth/{}", self.authenticate, roles=None, variable="provider"),
            Route("Authenticate", verbs, "auth", self.authenticate, roles=None),
        ]

    def status(self, exchange: Exchange) -> object:
        """Say who is signed in; this always works, and a wrong password only means nobody is."""
        try:
            identity = self._sign_ins.identify(exchange.request)
        except ServiceError:
            return {"isAuthenticated": False}
        exchange.cookies = identity.cookies
        account = identity.account
        if account is None:
            return {"isAuthenticated": False}
        return {
            "id": self._sign_ins.user_id(account),
            "isAuthenticated": True,
            "name": account.username,
            "emailAddress": account.username,
            "roles": list(account.roles),
            "accountIds": [COMPANY_ID],
            "accountNames": [COMPANY_NAME],
            "dashboardPermissions": ["ViewSessions", "ViewFlows", "ViewEndpoints"],
        }

    def authenticate(self, exchange: Exchange) -> object:
        """Log in with user name and password, log out, or without either tell the session."""
        fields = exchange.fields
        provider = fields.get("provider", "").lower()
        if provider == "logout":
            exchange.cookies = self._sign_ins.log_out(exchange.request)
            return {"responseStatus": {}}
        if provider == "credentials" or (not provider and "username" in fields):
            return self._log_in(exchange, fields.get("username", ""), fields.get("password", ""))
        if provider:
            raise ServiceError(Refusal(404, "NotFound", f"No sign-in provider is called '{provider}'"))
        return self._session(exchange, self._sign_ins.identify(exchange.request))

    def _log_in(self, exchange: Exchange, username: str, password: str) -> object:
        given = (("UserName", "User Name", username), ("Password", "Password", password))
        errors = tuple(empty(name, shown) for name, shown, value in given if not value)
        if errors:
            message = "Validation failed: " + "".join(f"\r\n -- {error.message}" for error in errors)
            raise ServiceError(Refusal(500, "ValidationException", message, errors))
        remember = exchange.fields.get("rememberme", "").lower() == "true"
        identity = self._sign_ins.log_in(exchange.request, username, password, remember=remember)
        return self._session(exchange, identity)

    def _session(self, exchange: Exchange, identity: Identity) -> dict[str, object]:
        exchange.cookies = identity.cookies
        account = identity.account
        if account is None:
            raise ServiceError(identity.refusal or _NOT_SIGNED_IN)
        return {
            "userId": self._sign_ins.user_id(account),
            "sessionId": identity.session,
            "userName": account.username,
            "displayName": account.username,
            "roles": list(account.roles),
            "permissions": [],
            "responseStatus": {},
        }
