"""Place outgoing phone calls through Evo Voice from a terminal, a script or a cron job.

For programs: `EvoVoice`, the values that it returns, and the errors that it raises. They are loaded when they are
asked for, so that the command line does not pay for them.
"""

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from evocall.api import EvoVoice
    from evocall.errors import (
        AuthError,
        ConfigError,
        EvocallError,
        Forbidden,
        Interrupted,
        InvalidNumber,
        JournalError,
        NotFound,
        OutcomeUnknown,
        RateLimited,
        Refused,
        Rejected,
        StillRunning,
        Unavailable,
        UsageError,
    )
    from evocall.model import Call, Ending, Number, Outcome, Phase
    from evocall.watching import EndedCall

__version__ = "0.1.0"
__all__ = [
    "AuthError",
    "Call",
    "ConfigError",
    "EndedCall",
    "Ending",
    "EvoVoice",
    "EvocallError",
    "Forbidden",
    "Interrupted",
    "InvalidNumber",
    "JournalError",
    "NotFound",
    "Number",
    "Outcome",
    "OutcomeUnknown",
    "Phase",
    "RateLimited",
    "Refused",
    "Rejected",
    "StillRunning",
    "Unavailable",
    "UsageError",
]
_HOMES = {
    "EvoVoice": "api",
    "EndedCall": "watching",
    **dict.fromkeys(("Call", "Ending", "Number", "Outcome", "Phase"), "model"),
}  # of all others it is `errors`


def __getattr__(name: str) -> Any:
    if name not in __all__:
        raise AttributeError(f"module 'evocall' has no attribute {name!r}")
    from importlib import import_module

    return getattr(import_module(f"evocall.{_HOMES.get(name, 'errors')}"), name)


def __dir__() -> list[str]:
    return [*__all__, "__version__"]
