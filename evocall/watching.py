"""Following a placed call until it has ended: what the service shows of it, asked again and again, and never dialling.

The service answers a dial before anybody's phone has rung. Its session tells the rest; while it does not, or not well
enough, the list of live calls does.
"""

import re
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass, field, replace
from datetime import timedelta

from evocall import sessions, settling
from evocall.errors import (
    AuthError,
    ConfigError,
    EvocallError,
    Forbidden,
    JournalError,
    NotFound,
    StillRunning,
    UsageError,
)
from evocall.journal import Journal
from evocall.model import SANDBOX, Call, Ending, Phase, Record
from evocall.placing import CLOCK, Clock
from evocall.sessions import CALL_SID, LiveCall, Session, digits
from evocall.settling import Service

FIRST_POLL, LONGEST_POLL, SLOWER = 1.0, 5.0, 1.5  # seconds between two looks, and by how much they grow
PATIENCE = 10.0  # seconds for connecting and for each answer of a look
SHORTEST = 1.0  # seconds for a look when the time is over
OUT_OF_SIGHT = "out_of_sight"  # the code of the error when the last look saw nothing of the call
UNSEEN = 60.0  # seconds after which a call that the service has never shown is given up
FATAL = (AuthError, Forbidden, ConfigError, UsageError)
UNANSWERED = re.compile(
    r"\b(no|not|never|none|nobody|noanswer|unanswered|busy|fail\w*|cancel\w*|miss\w*|reject\w*|declin\w*|abandon\w*|unreach\w*|invalid)\b"
)
ANSWERED = re.compile(r"\b(answer(ed|ing)?|completed?|connected|success(ful)?)\b")
MACHINE = re.compile(r"\b(voice ?mail|machine)\b")


@dataclass(frozen=True)
class Sight:
    """One look at a call; `phase` is None when nothing of it was seen."""

    phase: Phase | None = None
    session: Session | None = None
    machine: bool = False


@dataclass(frozen=True)
class Followed:
    """What following came to: the call as the journal has it now, how it ended, and its session if one was seen."""

    record: Record
    ending: Ending
    session: Session | None


@dataclass(frozen=True)
class EndedCall(Call):
    """A call that was followed to its end, so that it always has an `ending`."""

    ending: Ending = field(kw_only=True)


class Watch:
    """One placed call, looked at for as long as somebody is interested.

    `show(phase, seconds)` is told of each phase as it begins, with the seconds since the call was placed.
    """

    def __init__(
        self,
        record: Record,
        service: Service,
        journal: Journal,
        *,
        show: Callable[[Phase, float], None] = lambda _phase, _seconds: None,
        tell: Callable[[str], None] = lambda _: None,
        clock: Clock = CLOCK,
    ) -> None:
        self._record, self._service, self._journal = record, service, journal
        self._show, self._tell, self._clock = show, tell, clock
        self._began = self._last_seen = clock.monotonic()
        self._until = self._began
        requested = record.call.requested_at
        age = 0.0 if requested is None else max(0.0, (clock.now() - requested).total_seconds())
        self._placed = self._began - age
        self._connected = self._machine = self._lost = False
        self.ending: Ending | None = None
        self.session: Session | None = None

    def follow(self, timeout: float) -> Followed:
        """Come back when the call has ended, at once when the journal knows that already.

        Raises StillRunning, with the call, when that takes longer than `timeout` seconds, when the service does not
        show the call, or when it will not tell any more.
        """
        known = self._record.call.ending
        if known is not None and known.phase is Phase.ENDED:
            return Followed(self._record, known, None)
        self._until = self._began + timeout
        pause = FIRST_POLL
        while True:
            wait = self._look(pause)
            if self.ending is not None and self.ending.phase is Phase.ENDED:
                return Followed(self._written(), self.ending, self.session)
            now = self._clock.monotonic()
            if now >= self._until:
                raise self._given_up(f"stopped waiting after {timeout:g} seconds")
            if now - self._last_seen >= UNSEEN:
                raise self._given_up(f"the service has shown nothing of it for {UNSEEN:g} seconds")
            self._clock.sleep(min(wait, self._until - now))
            pause = min(pause * SLOWER, LONGEST_POLL)

    def _look(self, pause: float) -> float:
        """Look once, note what was seen, and return the seconds to wait before the next look."""
        try:
            sight = self._sight()
        except FATAL as error:
            raise self._given_up(f"the service does not tell any more: {str(error).rstrip('.')}") from error
        except EvocallError as error:
            if not self._lost:
                self._tell(f"{error} The call is not touched by that; asking again.")
            self._lost = True
            self._last_seen = self._clock.monotonic()
            return max(pause, error.retry_after or 0.0)
        self._lost = False
        self._note(sight)
        return pause

    def _sight(self) -> Sight:
        patience = self._patience()
        session = settling.session_of(self._record, self._service, self._journal, clock=self._clock, patience=patience)
        if session is not None and session.phase is not None:
            return Sight(session.phase, session, MACHINE.search(_words(session.outcome)) is not None)
        live = self._live(session)
        ours = next((call for call in live or () if self._is_ours(call, session)), None)
        if ours is not None:
            return Sight(ours.phase or Phase.RINGING, session, ours.machine)
        # A session that does not say whether it has ended, and whose call was live and is not any more: over.
        gone = live is not None and self.ending is not None and session is not None and not session.running
        return Sight(Phase.ENDED if gone else None, session)

    def _live(self, session: Session | None) -> list[LiveCall] | None:
        """The live calls; None for a login that may not see them."""
        try:
            return list(sessions.live(self._service, session.account if session else None, patience=self._patience()))
        except (Forbidden, NotFound):
            return None

    def _patience(self) -> float:
        """Seconds for what is asked now, so that nobody waits much longer than he wanted to."""
        return min(PATIENCE, max(SHORTEST, self._until - self._clock.monotonic()))

    def _is_ours(self, live: LiveCall, session: Session | None) -> bool:
        """By Twilio's name of the call where it is known, else by number and time."""
        call = self._record.call
        sid = session.call_sid if session else call.session_id
        if sid and CALL_SID.fullmatch(sid):
            return live.sid == sid
        if digits(live.number) != digits(call.number) or live.began is None or call.requested_at is None:
            return False
        return live.began >= call.requested_at + (self._service.ahead or timedelta()) - settling.EARLIEST

    def _note(self, sight: Sight) -> None:
        """Take in what was seen."""
        now = self._clock.monotonic()
        if sight.session is not None:
            self.session, self._last_seen = sight.session, now
            if sight.session.id:
                self._record = replace(self._record, call=replace(self._record.call, session_id=sight.session.id))
        if sight.phase is None:
            return
        lasted = self._lasted(sight.phase, now)
        if self.ending is None or sight.phase is not self.ending.phase:
            self._show(sight.phase, now - self._placed if sight.phase is not Phase.ENDED else lasted or 0.0)
        self._last_seen = now
        self._connected |= sight.phase is Phase.CONNECTED
        self._machine |= sight.machine
        self.ending = Ending(
            sight.phase,
            self._was_answered(sight.phase),
            self._machine,
            self.session.outcome if self.session else None,
            None if lasted is None else round(lasted, 1),
        )

    def _was_answered(self, phase: Phase) -> bool | None:
        """The service's own word decides, once there is one; else what was seen does."""
        said = _answered(self.session.outcome) if self.session and phase is Phase.ENDED else None
        if said is None and (self._connected or (self.session and self.session.answered_by)):
            return True
        return said

    def _lasted(self, phase: Phase, now: float) -> float | None:
        """Seconds since the call was placed, by the service's own times when it gives them.

        None for the length of a call that had ended before anybody looked.
        """
        if phase is Phase.ENDED and self.session and self.session.began and self.session.completed:
            return (self.session.completed - self.session.began).total_seconds()
        return None if phase is Phase.ENDED and self.ending is None else now - self._placed

    def _written(self) -> Record:
        call, session = self._record.call, self.session
        try:
            if call.id is not None and self.ending is not None:
                return self._journal.history.follow(call.id, (session and session.id) or None, self.ending)
        except JournalError as error:
            self._tell(f"warning: how the call went on could not be recorded. {error}")
        return replace(self._record, call=replace(call, ending=self.ending or call.ending))

    def _given_up(self, why: str) -> StillRunning:
        call = self._written().call
        code = OUT_OF_SIGHT if self._lost or self.ending is None else None
        error = StillRunning(f"the call was placed, but its end was not seen: {why}.", code=code)
        if call.profile != SANDBOX:
            error.hint = f"evocall show {call.id or call.session_id} tells later how it ended."
        error.call = call
        return error


def to_its_end(
    call: Call,
    service: Service,
    journal: Journal,
    username: str | None,
    timeout: float,
    *,
    show: Callable[[Phase, float], None] = lambda _phase, _seconds: None,
    tell: Callable[[str], None] = lambda _: None,
) -> tuple[EndedCall, Session | None]:
    """Follow a call that was just placed; what is known of its placing stays as it was told.

    Its session is None when none was looked at. Raises StillRunning as `Watch.follow` does.
    """
    watch = Watch(record_of(call, journal, username), service, journal, show=show, tell=tell)
    try:
        followed = watch.follow(timeout)
    except StillRunning as error:
        error.call = error.call and replace(error.call, outcome=call.outcome, response=call.response)
        raise
    known = {**vars(followed.record.call), "outcome": call.outcome, "response": call.response}
    return EndedCall(**{**known, "ending": followed.ending}), followed.session


def record_of(call: Call, journal: Journal, username: str | None) -> Record:
    """A call that was just placed, as the journal has it, or as it is when the journal cannot tell."""
    with suppress(JournalError):
        if call.id is not None and (found := journal.history.find(call.id)) is not None:
            return found
    return Record(call, username, None, None, 1, None)


def _answered(outcome: str | None) -> bool | None:
    """What the service's free text says about it; None when it says nothing that we know."""
    words = _words(outcome)
    if MACHINE.search(words):
        return True
    if UNANSWERED.search(words):
        return False
    return True if ANSWERED.search(words) else None


def _words(text: str | None) -> str:
    """The words of a name or sentence in lower case, however they are joined."""
    return " ".join(re.findall(r"[A-Z]?[a-z]+|[A-Z]+", text or "")).lower()
