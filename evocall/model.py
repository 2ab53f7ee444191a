"""The words that the rest of the package shares: frozen values, which at most say the same in another form."""

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime, time
from enum import StrEnum
from pathlib import Path
from typing import Any, NamedTuple
from urllib.parse import urlsplit

from evocall.address import is_loopback
from evocall.errors import EvocallError

PRODUCTION = "https://evovoice.io"
SANDBOX = "sandbox"
FLOW_ID = re.compile(r"[0-9a-fA-F]{24}")  # as MongoDB makes them
PORTS = {"http": 80, "https": 443}
BASIC, COOKIES = "basic", "cookies"  # the two ways of signing in


class Outcome(StrEnum):
    """What is known of a call after evocall has done its part."""

    PLACED = "placed"
    NOT_PLACED = "not_placed"
    UNKNOWN = "unknown"
    ALREADY_PLACED = "already_placed"
    DRY_RUN = "dry_run"


class NumberClass(StrEnum):
    """What a number is, as far as the numbering plan tells; those in `GUARDED` need `--allow`."""

    FIXED = "fixed"
    MOBILE = "mobile"
    FIXED_OR_MOBILE = "fixed-or-mobile"
    TOLL_FREE = "toll-free"
    VOIP = "voip"
    PAGER = "pager"
    COMPANY = "company"
    VOICEMAIL = "voicemail"
    PREMIUM = "premium"
    SHARED_COST = "shared-cost"
    SATELLITE = "satellite"
    PERSONAL = "personal"
    UNVERIFIED = "unverified"


GUARDED = (
    NumberClass.PREMIUM,
    NumberClass.SHARED_COST,
    NumberClass.SATELLITE,
    NumberClass.PERSONAL,
    NumberClass.UNVERIFIED,
)


@dataclass(frozen=True)
class Number:
    """A phone number as it was understood.

    `e164` is what the service gets (ITU-T E.164: plus, country code, subscriber number, at most 15 digits).
    `country` is an ISO 3166 code, None for numbers of no country (+800, +881 …). `zones` are IANA names.
    `verified` is False for a number of possible length that the numbering plan does not know.
    """

    typed: str
    e164: str
    international: str
    national: str
    country: str | None
    kind: NumberClass
    zones: tuple[str, ...]
    verified: bool = True


class Hours(NamedTuple):
    """A daily window at the callee's clock, from `begin` until before `end`; a window may cross midnight."""

    text: str
    begin: time
    end: time


@dataclass(frozen=True)
class Guard:
    """Limits that a profile sets on its own calls; `hours` is `HH:MM-HH:MM` at the callee's clock."""

    countries: tuple[str, ...] | None = None
    hours: str | None = None
    deny: str | None = None
    max_per_day: int | None = None
    max_per_number_per_day: int | None = None


@dataclass(frozen=True)
class Profile:
    """One section of the profile file, with the environment laid over it. Times are in seconds."""

    name: str
    base_url: str = PRODUCTION
    username: str | None = None
    flow: str | None = None
    caller_id: str | None = None
    region: str | None = None
    pace: float = 1.0
    timeout: float = 60.0
    connect_timeout: float = 10.0
    sign_in: str = BASIC
    keyring_backend: str | None = None
    password_command: str | None = None
    password_file: str | None = None
    journal: str | None = field(default=None, repr=False)
    guard: Guard = Guard()
    flows: Mapping[str, str] = field(default_factory=dict)
    contacts: Mapping[str, str] = field(default_factory=dict)
    directory: Path | None = None

    @property
    def option(self) -> str:
        """The option that names this profile on the command line, for hints."""
        return "--sandbox" if self.directory is None and self.name == SANDBOX else f"--profile {self.name}"

    @property
    def host(self) -> str:
        """The service that the profile means, however `base_url` writes it; all servers on this machine are one."""
        parts = urlsplit(self.base_url)
        name = (parts.hostname or "").removesuffix(".")
        if is_loopback(name):
            return "localhost"
        name = f"[{name}]" if ":" in name else name
        return name if parts.port in {None, PORTS.get(parts.scheme)} else f"{name}:{parts.port}"

    @property
    def netloc(self) -> str:
        """Host and port as `base_url` has them; `host` leaves out which server on this machine it is."""
        return urlsplit(self.base_url).netloc


@dataclass(frozen=True)
class Credential:
    """A login and where its password came from; the password stays out of every repr."""

    username: str
    password: str = field(repr=False)
    source: str


class Flow(NamedTuple):
    """The flow that runs when the call is answered: what the service is sent, and the alias or name that meant it.

    While it is `pending`, `id` is a name that the service has yet to be asked about.
    """

    id: str
    alias: str | None = None
    pending: bool = False

    @property
    def same(self) -> str:
        """What two flows that are the same one have in common: MongoDB's IDs may be written in capitals."""
        return self.id.lower() if FLOW_ID.fullmatch(self.id) else self.id

    @property
    def written(self) -> str:
        """What means this flow wherever a flow may be named, whatever aliases and names come to mean."""
        return self.id if self.pending else f"id:{self.id}"


class DialRequest(NamedTuple):
    """The three fields of `NewOutgoingSession`; without a caller ID the service picks one."""

    flow_id: str
    number: str
    caller_id: str | None = None

    @property
    def body(self) -> dict[str, str]:
        """The JSON object that is posted; `callerId` is left out when there is none."""
        fields = {"flowId": self.flow_id, "numberToDial": self.number}
        return fields if self.caller_id is None else {**fields, "callerId": self.caller_id}


@dataclass(frozen=True)
class Plan:
    """A call that has passed every local check: who is rung, by which flow, from which number, for which profile."""

    number: Number
    flow: Flow
    caller: Number | None
    profile: Profile
    hours: Hours | None = None

    @property
    def request(self) -> DialRequest:
        """What is posted for it."""
        return DialRequest(self.flow.id, self.number.e164, self.caller.e164 if self.caller else None)


@dataclass(frozen=True)
class Answer:
    """What one POST came to. `error` says why whenever the outcome is not *placed*.

    `resend` is True only when the request provably placed no call and asking again may help;
    `retry_after` is the wait, in seconds, that the service asked for.
    """

    outcome: Outcome
    status: int | None = None
    session_id: str | None = None
    response: Any = None
    error: EvocallError | None = None
    resend: bool = False
    retry_after: float | None = None


class Phase(StrEnum):
    """Where a placed call is in its life."""

    RINGING = "ringing"
    CONNECTED = "connected"
    ENDED = "ended"


@dataclass(frozen=True)
class Ending:
    """What `--wait` saw of a call. `answered` is None as long as that is not known, `machine` says that a machine did.

    `outcome` is the service's own word, `seconds` the time from the placing to the end, or to the last look before it.
    """

    phase: Phase
    answered: bool | None = None
    machine: bool = False
    outcome: str | None = None
    seconds: float | None = None


@dataclass(frozen=True)
class Call:
    """One call as receipts, JSON and history show it; `requested_at` is an aware UTC time.

    `settled` says how an outcome that was unknown at first became known, `ending` what became of the call.
    """

    outcome: Outcome
    number: str | None = None
    flow: str | None = None
    caller_id: str | None = None
    profile: str | None = None
    base_url: str | None = None
    requested_at: datetime | None = None
    http_status: int | None = None
    session_id: str | None = None
    response: Any = None
    error: Mapping[str, Any] | None = None
    id: str | None = None
    settled: str | None = None
    ending: Ending | None = None


@dataclass(frozen=True)
class Campaign:
    """What a campaign's name stands for at one service, from its first call there on.

    Flow and caller ID are those of rows without one.
    """

    name: str
    host: str
    profile: str
    flow: str | None
    caller_id: str | None


class Earlier(NamedTuple):
    """What the journal knows that decides about a new call.

    `placed` and `unknown` are calls with the same once-key, and `in_flight` says that another process is placing one;
    without a key, `unknown` is a recent call to the same number with the same flow. The other two hold when the calls
    of the last 24 hours were requested, oldest first. `campaign` is what the name of the call's campaign stands for.
    """

    placed: Call | None = None
    in_flight: bool = False
    unknown: Call | None = None
    today: Sequence[datetime] = ()
    today_to_number: Sequence[datetime] = ()
    campaign: Campaign | None = None


@dataclass(frozen=True)
class Record:
    """A call as the journal keeps it, with what is not shown in a receipt.

    `duration_ms` is that of the last POST. While the call is `in_flight` a process that lives is placing it.
    """

    call: Call
    username: str | None
    once_key: str | None
    campaign: str | None
    attempt: int
    duration_ms: int | None
    in_flight: bool = False
