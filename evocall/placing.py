"""The one path by which any call is placed: guard, reserve on disk, send, resolve on disk.

Whatever kills the process in between, the journal shows at worst *unknown*, never *not placed* for a call that may
ring. A request is sent again only when it provably placed no call.
"""

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from functools import partial
from pathlib import Path
from typing import NamedTuple, Protocol

from evocall import guard, places
from evocall.earlier import Key
from evocall.errors import EvocallError, Interrupted, JournalError, Refused, UsageError
from evocall.journal import Journal, Reserved
from evocall.model import Answer, Call, Campaign, DialRequest, Earlier, Outcome, Plan
from evocall.records import call_id

ATTEMPTS = 3
BACKOFF = (1.0, 2.0)  # seconds before the second and the third attempt, when the service names no time
PATIENCE = 60.0  # seconds; a service that asks for a longer wait is left to whoever called us
NOT_RECORDED = "warning: the outcome could not be recorded, so the journal will show it as unknown."
POLL = 0.2  # seconds between two looks at a call that another process is placing


class Sender(Protocol):
    """What placing needs of `service.Service`."""

    def place(self, request: DialRequest, may_leave: Callable[[], bool], /) -> Answer:
        """Send the POST once, unless it must not leave any more at the moment when it could."""
        ...


class Clock(NamedTuple):
    """The time that placing lives in; `monotonic` counts seconds and never jumps, `pause` precedes a new attempt."""

    now: Callable[[], datetime] = lambda: datetime.now(UTC)
    monotonic: Callable[[], float] = time.monotonic
    sleep: Callable[[float], None] = time.sleep
    pause: Callable[[float], None] = time.sleep


CLOCK = Clock()


@dataclass(frozen=True)
class Terms:
    """How a call may be placed: once for a key, again in spite of an unknown one or a cap, by which login.

    `again_after` is the one unknown call, by its name, after which it may be placed again. `patience` is the longest
    wait, in seconds, that the service may ask for. `campaign` is the one whose row it is, as this run began it. In a
    `hurry` the outcome is not waited for to be on disk: a power cut may then turn the last few placed calls into
    unknown ones, but nothing else.
    """

    once: str | None = None
    again: bool = False
    again_after: str | None = None
    username: str | None = None
    campaign: Campaign | None = None
    patience: float = PATIENCE
    hurry: bool = False

    @property
    def key(self) -> Key:
        """What the call is once for."""
        return Key(self.once, self.campaign.name if self.campaign else None)


@dataclass
class Witness:
    """What is known of a call at this moment, for whoever interrupts its placing; None before it is reserved."""

    call: Call | None = None

    def interrupted(self) -> Interrupted:
        """The error for an interruption now. After the reservation nobody may say that no call was placed."""
        if self.call is None:
            return Interrupted("interrupted before the request was sent: no call was placed.")
        if self.call.outcome is Outcome.UNKNOWN:
            what = "while the call was being placed, so it may have been"
        else:
            what = f"after the call was {self.call.outcome.replace('_', ' ')}"
        look = f"evocall show {self.call.id}" if self.call.id else "evocall history"
        error = Interrupted(f"interrupted {what}.", hint=f"{look} tells what is known of it.")
        error.call = self.call
        return error


def refuse_empty_key(once: str | None, option: str) -> None:
    """Raise UsageError for a once-key of nothing but blanks, which would stand for any call; `option` is its name."""
    if once is not None and not once.strip():
        raise UsageError(f"{option} was given an empty key.", hint="A variable in it may not be set.", code="empty_key")


def place(
    plan: Plan,
    service: Sender,
    journal: Journal,
    terms: Terms,
    *,
    tell: Callable[[str], None],
    clock: Clock = CLOCK,
    witness: Witness | None = None,
) -> Call:
    """Place the call, or return the earlier one that its once-key stands for (outcome `already_placed`).

    Raises the EvocallError that says why it was not placed, or why that is not known; the error carries the call.
    `tell` hears, a sentence at a time, what is being waited for, and `witness` has seen what is known at any moment.
    """
    witness = witness or Witness()
    run = _Run(plan, service, journal, terms, tell, clock)
    with about(plan):
        found = run.reserved()
    if isinstance(found, Call):
        return replace(found, outcome=Outcome.ALREADY_PLACED)
    witness.call = replace(_call(plan, Outcome.UNKNOWN), id=call_id(found.id))
    answer, duration = run.sent(found)
    call = witness.call = run.resolved(found, answer, duration)
    if answer.error is not None:
        answer.error.call = call
        raise answer.error
    return call


def rehearse(plan: Plan, place: Path | str, terms: Terms, clock: Clock = CLOCK) -> Call:
    """What `place` would decide now, by the same rules, without sending anything or making a journal's file."""
    now = clock.now()
    earlier = Earlier()
    if places.exists(place):
        with Journal(place) as journal:
            earlier = journal.earlier(plan, key=terms.key, now=now, hold_back=guard.HOLD_BACK)
    with about(plan):
        found = _rule(plan, terms, now)(earlier)
    if found is not None:
        return replace(found, outcome=Outcome.ALREADY_PLACED)
    return _call(plan, Outcome.DRY_RUN)


def is_used(plan: Plan, journal: Journal, terms: Terms, clock: Clock = CLOCK) -> bool:
    """Whether a call was placed for the key already, so that nobody need be asked what the flow's name means."""
    if terms.once is None:
        return False
    with about(plan):
        earlier = journal.earlier(plan, key=terms.key, now=clock.now(), hold_back=guard.HOLD_BACK)
    return earlier.placed is not None


@dataclass(frozen=True)
class _Run:
    """The steps of `place`, in their order."""

    plan: Plan
    service: Sender
    journal: Journal
    terms: Terms
    tell: Callable[[str], None]
    clock: Clock

    def reserved(self) -> Reserved | Call:
        """The row that allows one dial; waits while another process is placing the call for the same key."""
        terms, waiting = self.terms, False
        while True:
            now = self.clock.now()
            found = self.journal.reserve(
                self.plan,
                _rule(self.plan, terms, now),
                key=self.terms.key,
                username=self.terms.username,
                now=now,
                hold_back=guard.HOLD_BACK,
            )
            if found is not None:
                return found
            if not waiting:
                self.tell(f"another process is placing the call for the key {self.terms.once!r}; waiting for it.")
                waiting = True
                terms = replace(terms, again=False)  # it was said of an earlier call, and not of this one
            self.clock.sleep(POLL)

    def sent(self, reserved: Reserved) -> tuple[Answer, timedelta]:
        """Send, and send again as long as that is safe and of use; the last answer and how long its POST took."""
        attempt = 1
        while True:
            start = self.clock.monotonic()
            answer = self.service.place(self.plan.request, partial(self.journal.is_ours, reserved))
            duration = timedelta(seconds=self.clock.monotonic() - start)
            wait = _wait(answer, attempt, self.terms.patience)
            if wait is None:
                return answer, duration
            attempt += 1
            try:
                self.journal.wait(reserved, answer)
                self.tell(f"{answer.error} Trying again in {wait:g} s.")
                self.clock.pause(wait)
                guard.refuse_hours(self.plan.number, self.plan.hours, self.clock.now())
                reserved = self.journal.resume(reserved, attempt, self.clock.now())
            except KeyboardInterrupt:
                stopped = Interrupted("interrupted between two attempts: no call was placed.")
                return replace(answer, error=stopped), duration
            except Refused as error:
                return replace(answer, error=error), duration
            except JournalError as error:
                self.tell(f"warning: it is not tried again, since that could not be recorded. {error}")
                return answer, duration

    def resolved(self, reserved: Reserved, answer: Answer, duration: timedelta) -> Call:
        """The call as recorded. When it cannot be recorded any more, the journal keeps it as unknown, and we say so."""
        if self.terms.hurry:
            self.journal.resolve_soon(reserved, answer, duration)
            return self.call(reserved, answer)
        try:
            return replace(self.journal.resolve(reserved, answer, duration).call, response=answer.response)
        except JournalError as error:
            self.tell(f"{NOT_RECORDED} {error}")
        return self.call(reserved, answer)

    def call(self, reserved: Reserved, answer: Answer) -> Call:
        """The call as the answer has it."""
        return replace(
            _call(self.plan, answer.outcome),
            id=call_id(reserved.id),
            http_status=answer.status,
            session_id=answer.session_id,
            response=answer.response,
            error=answer.error.document() if answer.error else None,
        )


@contextmanager
def about(plan: Plan) -> Iterator[None]:
    """An error that leaves the block is about this call, which was not placed, unless it is about an earlier one."""
    try:
        yield
    except EvocallError as error:
        error.call = error.call or _call(plan, Outcome.NOT_PLACED)
        raise


def _rule(plan: Plan, terms: Terms, now: datetime) -> Callable[[Earlier], Call | None]:
    def decide(earlier: Earlier) -> Call | None:
        if terms.campaign != earlier.campaign:
            raise UsageError(
                "another process has begun the campaign differently meanwhile.",
                hint="Go on as it was begun then, or give this one another name.",
                code="campaign_changed",
            )
        if earlier.placed is None:
            guard.refuse_hours(plan.number, plan.hours, now)
        return guard.may_dial(
            plan.number,
            plan.profile.guard,
            earlier,
            once=terms.once,
            again=terms.again or (earlier.unknown is not None and earlier.unknown.id == terms.again_after),
            caps_too=terms.campaign is None,
        )

    return decide


def _wait(answer: Answer, attempt: int, patience: float) -> float | None:
    """Seconds until the next attempt; None when there must be none."""
    if not answer.resend or attempt == ATTEMPTS:
        return None
    wait = BACKOFF[attempt - 1] if answer.retry_after is None else answer.retry_after
    return wait if wait <= patience else None


def _call(plan: Plan, outcome: Outcome) -> Call:
    return Call(
        outcome,
        number=plan.number.e164,
        flow=plan.flow.id,
        caller_id=plan.request.caller_id,
        profile=plan.profile.name,
        base_url=plan.profile.base_url,
    )
