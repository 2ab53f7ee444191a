"""What can go wrong, each with the exit code that a script sees.

    EvocallError ............ 1   a defect in evocall itself
    ├── UsageError .......... 2   an option, a number or a file that cannot be read as asked
    │   └── InvalidNumber
    ├── Refused ............. 3   a guard said no
    ├── AuthError ........... 4   no credential, or the service refused it
    ├── NotFound ............ 5   the service does not know the flow, session or route
    ├── Forbidden ........... 6   signed in without a role that may do this
    ├── RateLimited ......... 7   429, also after the allowed retries
    ├── Unavailable ......... 8   never reached the service, or it said 503
    ├── OutcomeUnknown ...... 9   the request left and no usable answer came back
    ├── ConfigError ......... 10  profile file, keyring or environment is wrong
    │   └── JournalError
    ├── Rejected ............ 11  the service refused the request
    ├── NotAnswered ......... 12  the call ended, and nobody had answered it
    ├── StillRunning ........ 13  nobody waited any longer; the call goes on
    ├── Incomplete .......... 14  a batch has ended, but not every row was placed
    └── Interrupted ......... 130 Ctrl-C or SIGTERM

Owners raise these; only `cli.main` turns them into text and an exit code.
"""

from collections.abc import Sequence
from enum import IntEnum
from typing import TYPE_CHECKING, Any, NamedTuple

if TYPE_CHECKING:
    from evocall.model import Call


class ExitCode(IntEnum):
    """The numbers that scripts rely on; 0 to 8 and 10 as in the vendor's own tool."""

    OK = 0
    INTERNAL = 1
    USAGE = 2
    REFUSED = 3
    AUTH = 4
    NOT_FOUND = 5
    FORBIDDEN = 6
    RATE_LIMITED = 7
    UNAVAILABLE = 8
    UNKNOWN = 9
    CONFIG = 10
    REJECTED = 11
    NOT_ANSWERED = 12
    STILL_RUNNING = 13
    INCOMPLETE = 14
    INTERRUPTED = 130


class FieldError(NamedTuple):
    """What the service said about one field of the request."""

    field: str
    message: str


class EvocallError(Exception):
    """Anything that ends a command; the message says what happened, the hint what to do next.

    `code` is the machine's word for it in JSON. `said` holds the service's own words, which are shown as data.
    `call` is the call that the error is about, once there is one, and `summary` what a batch has to say besides.
    `retry_after` is the wait, in seconds, that the service asked for.
    """

    exit_code = ExitCode.INTERNAL
    code = "internal"

    def __init__(
        self,
        message: str,
        *,
        hint: str | None = None,
        code: str | None = None,
        said: str | None = None,
        fields: Sequence[FieldError] = (),
    ) -> None:
        super().__init__(message)
        self.message = message
        self.hint = hint
        self.code = code or self.code
        self.said = said
        self.fields = tuple(fields)
        self.call: Call | None = None
        self.summary: dict[str, Any] | None = None
        self.retry_after: float | None = None

    def __str__(self) -> str:
        return self.message

    def document(self) -> dict[str, Any]:
        """The error as JSON shows it."""
        return {
            "code": self.code,
            "exit_code": int(self.exit_code),
            "message": self.message,
            "hint": self.hint,
            "fields": [{"field": entry.field, "message": entry.message} for entry in self.fields],
        }


class UsageError(EvocallError):
    """The command cannot be carried out as it was typed."""

    exit_code = ExitCode.USAGE
    code = "usage"


class InvalidNumber(UsageError):
    """The text is not a number that can be dialled."""

    code = "invalid_number"


class Refused(EvocallError):
    """A guard forbids this call."""

    exit_code = ExitCode.REFUSED
    code = "refused"


class AuthError(EvocallError):
    """There is no credential, or the service does not accept it."""

    exit_code = ExitCode.AUTH
    code = "auth"


class NotFound(EvocallError):
    """The service does not know what was asked for."""

    exit_code = ExitCode.NOT_FOUND
    code = "not_found"


class Forbidden(EvocallError):
    """The login is good, but its role may not do this."""

    exit_code = ExitCode.FORBIDDEN
    code = "forbidden"


class RateLimited(EvocallError):
    """The service asks for fewer requests."""

    exit_code = ExitCode.RATE_LIMITED
    code = "rate_limited"


class Unavailable(EvocallError):
    """Nothing reached the service, or it said that it is not available: no call was placed."""

    exit_code = ExitCode.UNAVAILABLE
    code = "unavailable"


class OutcomeUnknown(EvocallError):
    """The request left, and nothing that came back says whether a call was placed."""

    exit_code = ExitCode.UNKNOWN
    code = "unknown"


class ConfigError(EvocallError):
    """The profile file, the keyring or the environment is wrong."""

    exit_code = ExitCode.CONFIG
    code = "config"


class JournalError(ConfigError):
    """The journal cannot be read or written; without it nothing is dialled."""

    code = "journal"


class Rejected(EvocallError):
    """The service understood the request and refused it."""

    exit_code = ExitCode.REJECTED
    code = "rejected"


class NotAnswered(EvocallError):
    """The call has ended, and nobody had answered it."""

    exit_code = ExitCode.NOT_ANSWERED
    code = "not_answered"


class StillRunning(EvocallError):
    """Nobody waited any longer for the end of the call, which goes on without us."""

    exit_code = ExitCode.STILL_RUNNING
    code = "still_running"


class Incomplete(EvocallError):
    """A batch has ended, but not every row of it was placed, or the results could not be written."""

    exit_code = ExitCode.INCOMPLETE
    code = "incomplete"


class Interrupted(EvocallError):
    """Ctrl-C or SIGTERM."""

    exit_code = ExitCode.INTERRUPTED
    code = "interrupted"
