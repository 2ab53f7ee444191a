"""A table of rows -> calls: checked as a whole, paced, each row rung at most once however often it is begun anew.

The journal remembers the rows, so nothing else has to survive a crash.
"""

import threading
import time
from collections import Counter
from collections.abc import Callable, Container, Iterator
from dataclasses import dataclass, field
from datetime import UTC, datetime
from functools import partial

from evocall import __version__, clocks, guard, placing
from evocall.crew import Crew, Sender
from evocall.errors import (
    AuthError,
    ConfigError,
    EvocallError,
    Forbidden,
    Interrupted,
    JournalError,
    OutcomeUnknown,
    Refused,
)
from evocall.identities import digest
from evocall.journal import Journal
from evocall.model import Call, Outcome, Plan
from evocall.pacing import Pace
from evocall.reading import UNPLANNED, Reader, identity_of, outside
from evocall.rows import Row

PATIENCE = 3600.0  # seconds; a campaign slows down for as long as the service asks, within reason
GLANCE = 60.0  # seconds between two looks at the clock, which may be set, or go on while the machine sleeps
FATAL = (AuthError, Forbidden, ConfigError)
FATAL_CODES = ("max_per_day", "campaign_changed")
WAITING, DENIED = "hours", "deny_list"


class _LeftToOthers(EvocallError):
    """The run was stopped before it was known what another process made of a row."""


@dataclass
class Tally:
    """What this run has done so far. `stopped` is why it ended before its end.

    A row that another process has dialled meanwhile is `already_placed`; `denied` are those whose number has come onto
    the deny list since the check, and `unrecorded` those that the journal shows as unknown, whatever they came to.
    """

    outcomes: Counter[str] = field(default_factory=Counter)
    errors: Counter[str] = field(default_factory=Counter)
    waiting: int = 0
    denied: int = 0
    unrecorded: int = 0
    stopped: EvocallError | None = None
    failures_in_a_row: int = 0


class Run:
    """One run of a campaign: a pass over the table for every time that rows come into their hours.

    `stop` may be set from anywhere: no new call is begun then, and those in flight are finished and recorded.
    `complain` hears at the end of each row that was denied meanwhile; those in the lines of `told` were so before.
    """

    def __init__(
        self,
        reader: Reader,
        journal: Journal,
        pace: Pace,
        make_service: Callable[[], Sender],
        *,
        repeated: frozenset[int] = frozenset(),
        username: str | None = None,
        tell: Callable[[str], None] = lambda _: None,
        complain: Callable[[Row, EvocallError], None] = lambda *_: None,
        told: Container[int] = (),
        changed: Callable[[Tally], None] = lambda _: None,
        now: Callable[[], datetime] = lambda: datetime.now(UTC),
        wait: Callable[[float], object] | None = None,
    ) -> None:
        self.tally = Tally()
        self.stop = threading.Event()
        self._now, self._wait = now, wait or self.stop.wait
        self._reader, self._order = reader, reader.order
        self._journal, self._pace = journal, pace
        self._repeated, self._username = repeated, username
        self._tell, self._changed = tell, changed
        self._complain, self._told = complain, told
        self._list_changed = False
        self._crew = Crew(self._order.concurrency, make_service, self._dial, self._record)
        self._begun: set[int] = set()  # what another pass must leave alone, and the journal does not tell
        # What counts as somebody else's, unless we dial it; unknown rows stay what they are.
        self._elsewhere = {digest(identity) for identity in reader.again if reader.done(identity) is None}
        self._missed = False
        self._ready = False
        self._lock = threading.Lock()
        self._left = float("inf") if self._order.limit is None else self._order.limit

    def run(self) -> Tally:
        """Dial until all rows are done, or something stops it. Returns what was done."""
        try:
            self._passes()
        except ConfigError as error:  # that of a journal is one, too
            self._end(error)
            self._crew.drain()
        finally:
            self._crew.close()
            self._record()
            self.tally.unrecorded = self._journal.unrecorded
            if self._list_changed:
                self._count_denied()
            self._count_elsewhere()
        return self.tally

    def _passes(self) -> None:
        while True:
            earliest = self._pass()
            self._crew.drain()
            if self._missed:
                self._missed = False
            elif self.stop.is_set() or earliest is None or self._left <= 0 or not self._order.wait_for_hours:
                return
            else:
                self._tell(f"{self.tally.waiting} rows wait for their hours, the first until {earliest:%H:%M} UTC.")
                self._wait_until(earliest)
            self._reader.refresh()

    def _wait_until(self, moment: datetime) -> None:
        """Wait for that moment of the clock, or until the run is stopped."""
        while not self.stop.is_set() and (left := (moment - self._now()).total_seconds()) > 0:
            self._wait(min(left, GLANCE))

    def _record(self) -> None:
        """Put on disk what is known of the calls so far."""
        try:
            self._journal.flush()
        except JournalError as error:
            self._end(error)

    def _count_elsewhere(self) -> None:
        """The rows that other processes have dialled instead, as far as is known."""
        for value in self._elsewhere:
            if value in self._reader.placed:
                self.tally.outcomes[Outcome.ALREADY_PLACED.value] += 1
            elif value in self._reader.unknown:
                self.tally.outcomes[Outcome.UNKNOWN.value] += 1

    def _count_denied(self) -> None:
        """The rows whose numbers are denied since the check, but for those of which the tally tells already."""
        try:
            self._reader.refresh()
        except JournalError as error:
            self._end(error)
            return
        denied: set[int] = set()
        for row in self._reader.table:
            if row.line in self._told or self._reader.done(self._reader.guess(row)) is not None:
                continue
            try:
                self._reader.plan(row)
            except UNPLANNED as error:
                identity = self._reader.identity_of_refused(row)
                value = digest(identity)
                counted = value in self._begun or value in denied or self._reader.done(identity) is not None
                if error.code == DENIED and not counted:
                    denied.add(value)
                    self._complain(row, error)
        self._elsewhere -= denied  # an unknown row that was to be dialled again counts once
        self.tally.denied = len(denied)

    def _pass(self) -> datetime | None:
        """Dial all rows that may be dialled now; the first moment at which one more may, None when none waits."""
        self.tally.waiting = 0
        openings: dict[tuple[str, ...], datetime | None] = {}
        seen: set[int] = set()
        for plan, identity in self._open_rows():
            if self.stop.is_set() or self._left <= 0:
                break
            value = digest(identity)
            if value in self._begun or value in seen:
                continue
            if value in self._repeated:
                seen.add(value)
            now = self._now()
            if outside(plan, now):
                self.tally.waiting += 1
                self._elsewhere.add(value)  # unless we dial it; others may wake up sooner
                zones = plan.number.zones
                if zones not in openings and plan.hours is not None:
                    openings[zones] = guard.first_allowed(clocks.zones_of(plan.number, now), plan.hours, now)
                continue
            if self._get_ready():
                self._begin(plan, identity)
        if self._ready:
            self._ready = False
            self._crew.give_back()
        return min(filter(None, openings.values()), default=None)

    def _open_rows(self) -> Iterator[tuple[Plan, str]]:
        """The rows that are neither done nor bad; what is bad has been reported by the check."""
        for row in self._reader.table:
            if self._reader.done(self._reader.guess(row)) is not None:
                continue
            try:
                plan = self._reader.plan(row)
            except UNPLANNED:
                continue
            identity = identity_of(row, plan)
            if self._reader.done(identity) is None:
                yield plan, identity

    def _get_ready(self) -> bool:
        """Wait for a free worker, then for the next slot of the pace; False when the run was stopped meanwhile.

        Which row the slot is for is seen only then: while it was waited for, other processes have begun more of them.
        """
        while not self._ready:
            if self.stop.is_set():
                return False
            if self._crew.free(timeout=0.2):
                self._ready = True
                self._wait_for_slot()
        return not self.stop.is_set()

    def _begin(self, plan: Plan, identity: str) -> None:
        """Let the worker go, unless another process has begun the row: then another pass sees what became of it.

        A number that has come onto the deny list meanwhile is left out.
        """
        try:
            self._refuse_denied(plan)
        except Refused:
            return
        value = digest(identity)
        if self._reader.taken(identity):
            self._elsewhere.add(value)
            self._missed = True
            return
        self._elsewhere.discard(value)
        if plan.hours is not None or self._order.retry_unknown:
            self._begun.add(value)
        self._ready = False
        with self._lock:
            self._left -= 1
        self._crew.hand((plan, identity))

    def _refuse_denied(self, plan: Plan) -> None:
        """Raise Refused for a number that is on the deny list as it is now, ConfigError when nobody can read it."""
        if self._reader.planner.refresh():
            self._list_changed = True
            self._tell("the deny list has changed and was read again.")
        self._reader.planner.refuse(plan.number)

    def _wait_for_slot(self) -> None:
        """Come back at the next slot of the pace, or when the run is stopped."""
        while True:
            wait = self._pace.take() - time.monotonic()
            if wait > 0:
                self.stop.wait(wait)
            if self.stop.is_set() or not self._pace.held():
                return

    def _wait_for_others(self, seconds: float) -> None:
        """Let time pass while another process places the call; a run that was stopped leaves the row to it."""
        if self.stop.wait(seconds):
            raise _LeftToOthers("stopped while another process was placing the call.")

    def _pause(self, plan: Plan, seconds: float) -> None:
        """Slow everybody down for as long as the service asks, and come back at a slot of the pace.

        Raises Refused for a number that has come onto the deny list meanwhile.
        """
        self._pace.hold(seconds)
        self._wait_for_slot()
        try:
            self._refuse_denied(plan)
        except ConfigError as error:
            self._end(error)
        if self.stop.is_set():
            raise KeyboardInterrupt

    def _dial(self, service: Sender, item: tuple[Plan, str]) -> None:
        """Place the call of one row; runs in a worker."""
        plan, identity = item
        terms = placing.Terms(
            identity,
            again_after=self._reader.again.get(identity),
            username=self._username,
            campaign=self._order.campaign,
            patience=PATIENCE,
            hurry=True,
        )
        clock = placing.Clock(now=self._now, pause=partial(self._pause, plan), sleep=self._wait_for_others)
        try:
            call = placing.place(plan, service, self._journal, terms, tell=lambda _: None, clock=clock)
        except _LeftToOthers:
            self._put_back(identity)
        except Refused as error:
            if error.code in {WAITING, DENIED}:
                self._put_back(identity)
            else:
                self._failed(error, identity)
        except EvocallError as error:
            self._failed(error, identity)
        except Exception as error:  # noqa: BLE001 - a worker must not die in silence
            hint = "Please report it with this line and the command."
            defect = EvocallError(f"a defect in evocall {__version__}: {type(error).__name__}.", hint=hint)
            defect.call = Call(Outcome.UNKNOWN)
            self._failed(defect, identity, fatal=True)
        else:
            self._succeeded(call)

    def _put_back(self, identity: str) -> None:
        """The row was not dialled: hours that ended, the deny list, or a stop while another process had it."""
        with self._lock:
            self._begun.discard(digest(identity))
            self._elsewhere.add(digest(identity))
            self._left += 1
            self._missed = True

    def _succeeded(self, call: Call) -> None:
        with self._lock:
            self.tally.outcomes[call.outcome.value] += 1
            self.tally.failures_in_a_row = 0
            self._changed(self.tally)

    def _failed(self, error: EvocallError, identity: str, *, fatal: bool = False) -> None:
        with self._lock:
            self._begun.add(digest(identity))
            outcome = error.call.outcome if error.call else Outcome.NOT_PLACED
            self.tally.outcomes[outcome.value] += 1
            self.tally.errors[error.code] += 1
            if not isinstance(error, OutcomeUnknown | Interrupted):
                self.tally.failures_in_a_row += 1
            too_many = self.tally.failures_in_a_row >= self._order.max_failures
            if fatal or too_many or isinstance(error, FATAL) or error.code in FATAL_CODES:
                self._end(error)
            self._changed(self.tally)

    def _end(self, error: EvocallError) -> None:
        self.tally.stopped = self.tally.stopped or error
        self.stop.set()
