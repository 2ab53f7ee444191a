"""What a status other than success means: the error, its exit code, and what to do about it."""

import re
from typing import NamedTuple
from urllib.parse import urlsplit

from evocall import answers
from evocall.answers import Said
from evocall.errors import (
    AuthError,
    ConfigError,
    EvocallError,
    Forbidden,
    NotFound,
    RateLimited,
    Rejected,
    Unavailable,
)
from evocall.model import BASIC, Credential, Profile
from evocall.transport import NotSent, Reply

MOVED = {301, 307, 308}
FOUND = {302, 303}


class Refusals(NamedTuple):
    """Words for whoever has this profile and this login."""

    profile: Profile
    credential: Credential

    def of(self, reply: Reply) -> EvocallError | None:
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
                    "The service says that it is not available (503).",
                    hint="No call was placed, so it is safe to try again.",
                )
            case status if status in MOVED or status in FOUND:
                return self._redirected(reply)
            case status if 400 <= status < 500:  # noqa: PLR2004 - RFC 9110, client error
                error = Rejected(f"The service refused the request ({status}).", hint=_hint(said))
            case _:
                return None
        error.said, error.fields = words, said.fields
        error.retry_after = answers.retry_after(reply)
        return error

    def _not_signed_in(self, reply: Reply, said: Said) -> AuthError:
        """401: without a body and with a challenge when no credential was seen, with a body when it is wrong."""
        who = f"the login of {self.credential.username}, with the password from {self.credential.source}"
        if said.code is None and "www-authenticate" in reply.headers and self.profile.sign_in == BASIC:
            return AuthError(
                f"The service did not take {who}: it saw no usable credential (401).",
                hint=f"evocall login {self.profile.option} finds out which way of signing in works there.",
                code="not_signed_in",
            )
        return AuthError(
            f"The service refused {who} (401).", hint=f"evocall login {self.profile.option}", code="wrong_login"
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
            f"{self.credential.username} is signed in, but {message} (403).",
            hint=f"evocall whoami {self.profile.option} shows the roles; an administrator can grant one.",
        )

    def _not_found(self, reply: Reply) -> NotFound:
        """404: JSON comes from the service, anything else from a host that does not know the route."""
        if "json" in reply.media_type:
            return NotFound("The service does not know what was asked for (404).", hint="Check the flow's ID or name.")
        return NotFound(
            f"{self.profile.base_url} does not know this route (404): is it Evo Voice's, and all of it?",
            hint=f"evocall profile set base_url https://evovoice.io {self.profile.option}",
            code="no_such_route",
        )

    def _redirected(self, reply: Reply) -> EvocallError | None:
        target = reply.headers.get("location", "")
        if re.search(r"/(login|signin|sign-in)\b", _path(target), re.IGNORECASE):
            return AuthError(
                f"The service sent us to its login page instead of an answer ({reply.status} to {target}): "
                f"it does not take the login of {self.credential.username}, or the role is wrong.",
                hint=f"evocall login {self.profile.option}",
                code="login_page",
            )
        if reply.status in FOUND:
            return None
        return ConfigError(
            f"{self.profile.base_url} has moved to {target} ({reply.status}); evocall does not follow with a login.",
            hint="If you trust that address, make it the base_url of the profile.",
            code="moved",
        )

    def unreachable(self, error: NotSent) -> EvocallError:
        """The error for a request of which no byte has left."""
        if error.code == "ca_bundle":
            return ConfigError(f"{error.why}.", hint="It should be a file in PEM format.", code=error.code)
        hints = {
            "tls_certificate": "Set REQUESTS_CA_BUNDLE to a file with your company's CA, or mend the clock.",
            "dns": "Check base_url and the network; no call was placed, so it is safe to try again.",
            "proxy": "Check HTTPS_PROXY and NO_PROXY.",
        }
        hint = hints.get(error.code, "No call was placed, so it is safe to try again.")
        return Unavailable(f"{self.profile.netloc} could not be reached: {error.why}.", hint=hint, code=error.code)


def _hint(said: Said) -> str | None:
    fields = {entry.field for entry in said.fields}
    if "callerId" in fields:
        return "A caller ID must be a phone number that the account owns."
    return "See what it said about each field." if fields else None


def _path(address: str) -> str:
    try:
        return urlsplit(address).path
    except ValueError:
        return ""
