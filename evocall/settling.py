"""Unknown outcomes: asking the service whether a session to the number began when the request was sent.

Found means placed. Not found proves nothing, since the service may be late or may keep it elsewhere: the call stays
unknown. Where two calls could be meant, neither is guessed.
"""

from collections.abc import Callable, Sequence
from dataclasses import replace
from datetime import datetime, timedelta
from enum import StrEnum
from typing import NamedTuple, Protocol, cast

from evocall import listing, placing, sessions
from evocall.errors import AuthError, EvocallError, Forbidden, JournalError, NotFound, OutcomeUnknown, UsageError
from evocall.guard import HELD_BACK
from evocall.history import Filter
from evocall.journal import Journal
from evocall.model import SANDBOX, Call, Outcome, Plan, Record
from evocall.placing import CLOCK, NOT_RECORDED, Clock, Terms, Witness
from evocall.sessions import ARCHIVED_AFTER, CALL_SID, Limited, Session, digits

EARLIEST = timedelta(seconds=2)  # the Date header knows only whole seconds
LATEST = timedelta(seconds=10)  # after the POST had ended: a server may finish what its client has given up
LONGEST_POST = timedelta(seconds=60)  # when it is not known how long the POST took
HASTY = 3.0  # seconds for all pages of one look, while somebody waits for the outcome of a dial
PAUSES = (1.0, 2.0, 2.0)  # seconds between the looks of a dial
LONGEST_ASKING = 8.0  # seconds, for all looks of a dial together
LONGEST_LOOK = 60.0  # seconds, when nobody waits for the outcome of a dial
HOPELESS = (AuthError, Forbidden, NotFound)
MOST_SKEW = timedelta(hours=12)  # up to which the days that were asked for are the right ones


class Service(listing.Reader, Protocol):
    """What settling needs of `service.Service`."""

    @property
    def ahead(self) -> timedelta | None:
        """By how much the service's clock is before ours."""
        ...


class Caller(Service, placing.Sender, Protocol):
    """A service that also places calls."""


class Verdict(StrEnum):
    """What a look for one unknown call has come to."""

    PLACED = "placed"
    NOT_FOUND = "not_found"
    AMBIGUOUS = "ambiguous"


class Finding(NamedTuple):
    """A verdict, and the sessions that could be meant: exactly one for a placed call."""

    verdict: Verdict
    candidates: Sequence[Session] = ()


def needs_flow(plan: Plan, journal: Journal, terms: Terms) -> bool:
    """Whether the service has to be asked what the name of the flow means; not for a key that has been used."""
    return plan.flow.pending and not placing.is_used(plan, journal, terms)


def with_flow(plan: Plan, service: Service, *, tell: Callable[[str], None] = lambda _: None) -> Plan:
    """The plan with the flow that its name means at the service; the error when there is none carries the call."""
    from evocall import catalog  # an ID needs none

    with placing.about(plan):
        return replace(plan, flow=catalog.resolved(plan.flow, service, tell=tell))


def place(
    plan: Plan,
    service: Caller,
    journal: Journal,
    terms: Terms,
    *,
    tell: Callable[[str], None],
    clock: Clock = CLOCK,
    witness: Witness | None = None,
) -> Call:
    """As `placing.place`; an outcome that is unknown is asked after before it is reported.

    The same goes for an earlier call that holds up this one by its once-key.
    """
    try:
        return placing.place(plan, service, journal, terms, tell=tell, clock=clock, witness=witness)
    except OutcomeUnknown as error:
        earlier = error.code == HELD_BACK
        record = None if earlier and terms.once is None else _recorded(error, journal, tell)
        if record is None:
            raise
        if witness is not None:
            witness.call = record.call
        tell("the outcome is not known; asking the service whether the call was placed.")
        settled = settle_soon(record, service, journal, tell=tell, clock=clock)
        if settled is None:
            error.hint = _what_to_do(record, terms)
            raise
        return replace(settled.call, outcome=Outcome.ALREADY_PLACED) if earlier else settled.call


def _recorded(error: OutcomeUnknown, journal: Journal, tell: Callable[[str], None]) -> Record | None:
    """The call of the error as the journal has it; None without it, since others may then be confused with it."""
    try:
        return journal.history.find(error.call.id) if error.call and error.call.id else None
    except JournalError as trouble:
        tell(f"warning: the service cannot be asked whether the call was placed. {trouble}")
        return None


def _what_to_do(record: Record, terms: Terms) -> str:
    until = " for ten minutes" if terms.once is None else ""
    again = f"dialling again may ring twice, and needs --again{until}."
    rehearsal = record.call.profile == SANDBOX
    return again if rehearsal else f"evocall reconcile {record.call.id} asks again; {again}"


def settle_soon(
    record: Record, service: Service, journal: Journal, *, tell: Callable[[str], None], clock: Clock = CLOCK
) -> Record | None:
    """Look for a call that was sent a moment ago, for a few seconds; None when it stays unknown.

    What goes wrong in between proves nothing either, and is not reported. `tell` hears of a finding that could not be
    written down.
    """
    until = clock.monotonic() + LONGEST_ASKING
    for pause in (*PAUSES, None):
        left = until - clock.monotonic()
        if left <= 0:
            break
        try:
            finding = look(record, service, journal, clock=clock, patience=min(HASTY, left))
        except HOPELESS:
            return None
        except EvocallError:
            finding = Finding(Verdict.NOT_FOUND)
        if finding.verdict is Verdict.PLACED:
            try:
                return settle(record, finding, journal)
            except JournalError as error:
                tell(f"{NOT_RECORDED} {error}")
                return replace(record, call=_found(record.call, finding))
        if finding.verdict is Verdict.AMBIGUOUS:
            break
        if pause is not None:
            clock.sleep(pause)
    return None


def settle(record: Record, finding: Finding, journal: Journal) -> Record:
    """Write down that the call was found."""
    found = _found(record.call, finding)
    return journal.history.settle(found.id or "", found.session_id, found.settled or "")


def _found(call: Call, finding: Finding) -> Call:
    session = finding.candidates[0]
    began = f"{session.began:%Y-%m-%d %H:%M:%S} UTC" if session.began else "an unknown time"
    how = f"the service shows a session to this number of {began}"
    return replace(call, outcome=Outcome.PLACED, session_id=session.id or None, settled=how, error=None)


def look(
    record: Record, service: Service, journal: Journal, *, clock: Clock = CLOCK, patience: float = LONGEST_LOOK
) -> Finding:
    """Ask the service for the call, in the archive too when it is old. Raises the EvocallError of a failed request.

    `patience` is a limit, in seconds, for all of its pages together.
    """
    candidates = near(record, Limited(service, patience), journal, clock=clock)
    if not candidates:
        return Finding(Verdict.NOT_FOUND)
    if len(candidates) > 1 or _rivals(record, journal):
        return Finding(Verdict.AMBIGUOUS, candidates)
    return Finding(Verdict.PLACED, candidates)


def session_of(
    record: Record, service: Service, journal: Journal, *, clock: Clock = CLOCK, patience: float = LONGEST_LOOK
) -> Session | None:
    """The session of a call: by its ID where it is known, else by number and time; None when none is shown (yet).

    `patience` is a limit, in seconds, for all pages together. Raises UsageError when several calls to the number began
    together.
    """
    service = Limited(service, patience)
    known = record.call.session_id
    if record.call.outcome is Outcome.NOT_PLACED:
        return None
    if known and not CALL_SID.fullmatch(known):
        found = sessions.by_id(service, known)
        if found is None and _is_old(record, clock):
            found = sessions.by_id(service, known, archive=True)
        return found
    candidates = near(record, service, journal, clock=clock)
    if known:
        candidates = [session for session in candidates if session.call_sid == known]
    if len(candidates) > 1 or (
        candidates and not known and record.call.outcome is Outcome.UNKNOWN and _rivals(record, journal)
    ):
        raise UsageError(
            f"Several calls to {record.call.number} began together, and cannot be told apart: "
            f"{', '.join(session.id for session in candidates)}.",
            hint="Give the ID of the session that you mean.",
            code="ambiguous_call",
        )
    return candidates[0] if candidates else None


def near(record: Record, service: Service, journal: Journal, *, clock: Clock = CLOCK) -> list[Session]:
    """The sessions that may be this call: its number, caller ID and flow, begun while its request was on its way.

    Those of other calls in the journal are left out.
    """
    call = record.call
    if call.number is None or call.requested_at is None:
        return []
    for archive in (False, True) if _is_old(record, clock) else (False,):
        found = _around(call.number, call.requested_at, service, archive=archive)
        requested = call.requested_at + (service.ahead or timedelta())
        begin, end = requested - EARLIEST, requested + _duration(record) + LATEST
        fitting = [
            session
            for session in found
            if _within(session.began, begin, end) and _fits(session, call) and not _taken(session, record, journal)
        ]
        if fitting:
            return fitting
    return []


def _around(number: str, requested: datetime, service: Service, *, archive: bool) -> list[Session]:
    """The sessions to the number of the days around; asked again when our clock proves to be off by a day."""
    found: list[Session] = []
    for _ in range(2):
        ahead = service.ahead or timedelta()
        found = sessions.to_number(service, number, (requested + ahead).date(), archive=archive)
        if abs((service.ahead or timedelta()) - ahead) < MOST_SKEW:
            break
    return found


def _is_old(record: Record, clock: Clock) -> bool:
    """Whether the service may have moved the call to its archive."""
    requested = record.call.requested_at
    return requested is not None and clock.now() - requested > ARCHIVED_AFTER


def _duration(record: Record) -> timedelta:
    return LONGEST_POST if record.duration_ms is None else timedelta(milliseconds=record.duration_ms)


def _within(moment: datetime | None, begin: datetime, end: datetime) -> bool:
    return moment is not None and begin <= moment <= end


def _fits(session: Session, call: Call) -> bool:
    """Whether nothing that the session tells speaks against its being this call."""
    other_caller = call.caller_id and session.caller_id and digits(call.caller_id) != digits(session.caller_id)
    other_flow = session.flow and call.flow and session.flow.lower() != call.flow.lower()
    return not other_caller and not other_flow


def _taken(session: Session, record: Record, journal: Journal) -> bool:
    """Whether the session belongs to another call of the journal."""
    owners = [journal.history.find(name) for name in (session.id, session.call_sid) if name]
    return any(owner is not None and owner.call.id != record.call.id for owner in owners)


def _rivals(record: Record, journal: Journal) -> bool:
    """Whether another call to the number, close in time and without a session of its own, could be the one found."""
    call = record.call
    requested = cast("datetime", call.requested_at)  # or no session would have been found around it
    span = LONGEST_POST + EARLIEST + LATEST
    around = Filter(number=call.number, since=requested - span)
    return any(
        other.call.id != call.id
        and other.call.session_id is None
        and other.call.outcome in {"placed", "unknown"}
        and other.call.requested_at is not None
        and other.call.requested_at <= requested + span
        for other in journal.history.calls(around)
    )
