"""A table of rows -> calls: checked as a whole, paced, each row rung at most once however often it is begun anew.

The journal remembers the rows, so nothing else has to survive a crash. Rows are read again for each pass, and never
held: a million of them take the memory of a few numbers each.
"""

import threading
import time
from array import array
from bisect import bisect_left
from collections import Counter
from collections.abc import Callable, Iterable, Iterator
from contextlib import suppress
from dataclasses import dataclass, field
from datetime import UTC, datetime
from queue import Empty, SimpleQueue
from typing import Any, Protocol

from evocall import guard, placing, rows
from evocall.errors import (
    AuthError,
    ConfigError,
    EvocallError,
    Forbidden,
    Interrupted,
    JournalError,
    OutcomeUnknown,
    Refused,
    UsageError,
)
from evocall.journal import Journal, Key
from evocall.model import Call, Campaign, Outcome, Plan
from evocall.pacing import Pace
from evocall.planning import Planner
from evocall.rows import Row, Table

MOST_IN_FLIGHT = 64
PATIENCE = 3600.0  # seconds; a campaign slows down for as long as the service asks, within reason
BREATH = 0.05  # seconds without work after which the outcomes so far are put on disk
HASH_BITS = (1 << 64) - 1
FATAL = (AuthError, Forbidden, ConfigError)
WAITING = "hours"


@dataclass(frozen=True)
class Order:
    """What the user asked for. `pace` is in calls per second, `limit` in rows dialled by this run."""

    campaign: Campaign
    pace: float
    concurrency: int = MOST_IN_FLIGHT
    limit: int | None = None
    skip_invalid: bool = False
    retry_unknown: bool = False
    max_failures: int = 10
    wait_for_hours: bool = True


class Identities:
    """A set of rows by a hash of 64 bits each: eight bytes a row instead of a hundred."""

    def __init__(self, hashes: Iterable[int] = ()) -> None:
        self._sorted = array("Q", sorted(hashes))

    def __contains__(self, value: int) -> bool:
        at = bisect_left(self._sorted, value)
        return at < len(self._sorted) and self._sorted[at] == value

    def __len__(self) -> int:
        return len(self._sorted)

    def repeated(self) -> frozenset[int]:
        """Those that were given more than once."""
        values = self._sorted
        return frozenset(values[n] for n in range(1, len(values)) if values[n] == values[n - 1])


def digest(identity: str) -> int:
    """The hash of a row's identity; good for this process only."""
    return hash(identity) & HASH_BITS


@dataclass
class Checked:
    """What the check of the whole table has found; `repeated` are the identities that stand in it more than once."""

    rows: int = 0
    bad: int = 0
    denied: int = 0
    duplicates: int = 0
    placed_before: int = 0
    unknown_before: int = 0
    to_dial: int = 0
    waiting: int = 0
    countries: Counter[str] = field(default_factory=Counter)
    repeated: frozenset[int] = frozenset()


class Reader:
    """Rows with their plans, in the order of the table, skipping what need not be read."""

    def __init__(self, table: Table, planner: Planner, order: Order, journal: Journal | None) -> None:
        self.table, self.planner, self.order = table, planner, order
        self._journal = journal
        self._flows: dict[str, str] = {}
        planner.caller(order.campaign.caller_id)
        if "flow" not in (column.lower() for column in table.columns):
            planner.flow(order.campaign.flow)
        self.placed = self.unknown = Identities()
        self.refresh()

    def refresh(self) -> None:
        """Ask the journal anew which rows are done."""
        if self._journal is None:
            return
        placed, unknown = array("Q"), array("Q")
        for key, outcome in self._journal.campaign_keys(self.order.campaign.name):
            (placed if outcome is Outcome.PLACED else unknown).append(digest(key))
        self.placed, self.unknown = Identities(placed), Identities(unknown)

    def done(self, identity: str) -> Outcome | None:
        """*Placed* or *unknown* for a row that must not be dialled, None for one that may."""
        value = digest(identity)
        if value in self.placed:
            return Outcome.PLACED
        return Outcome.UNKNOWN if value in self.unknown and not self.order.retry_unknown else None

    def guess(self, row: Row) -> str:
        """The row's identity when its number is in E.164 already; for any other it stands for no row."""
        return row.key.strip() or f"{row.number.strip()} {self._flow_id(row.flow)}"

    def plan(self, row: Row) -> Plan:
        """The call of the row. Raises UsageError or Refused with the reason in the words of spreadsheets."""
        if row.flaw:
            raise UsageError(f"{row.number!r} is not a row: {row.flaw}.", code="bad_row")
        text = row.number.strip()
        harm = rows.damage(text, self.planner.region) if rows.DECIMALS.fullmatch(text) else None
        try:
            if harm is None:
                flow, caller_id = row.flow.strip() or self.order.campaign.flow, row.caller_id.strip()
                return self.planner.plan(text, flow=flow, caller_id=caller_id or self.order.campaign.caller_id)
        except UsageError as error:
            harm = rows.damage(text, self.planner.region)
            if harm is None:
                raise
            raise UsageError(f"{error} Perhaps {harm}.", hint=error.hint, code="spreadsheet") from None
        raise UsageError(f"{text!r} is not a phone number: {harm}.", code="spreadsheet")

    def _flow_id(self, flow: str) -> str:
        if flow not in self._flows:
            with suppress(UsageError):
                self._flows[flow] = self.planner.flow(flow.strip() or self.order.campaign.flow).id
        return self._flows.get(flow, "")


def identity_of(row: Row, plan: Plan) -> str:
    """What makes a row the same row: its key, or else its number and flow."""
    return row.key.strip() or f"{plan.number.e164} {plan.flow.id}"


def check(reader: Reader, complain: Callable[[Row, EvocallError], None], now: datetime) -> Checked:
    """Read the whole table; `complain` hears of each bad row."""
    found = Checked()
    hashes = array("Q")
    clear: dict[tuple[str, ...], bool] = {}
    for row in reader.table:
        found.rows += 1
        done = reader.done(reader.guess(row)) if reader.placed or reader.unknown else None
        if done is None:
            try:
                plan = reader.plan(row)
            except (UsageError, Refused) as error:
                complain(row, error)
                found.denied += error.code == "deny_list"
                found.bad += error.code != "deny_list"
                continue
            identity = identity_of(row, plan)
            done = reader.done(identity)
        if done is not None:
            found.placed_before += done is Outcome.PLACED
            found.unknown_before += done is Outcome.UNKNOWN
            continue
        hashes.append(digest(identity))
        found.countries[plan.number.country or "none"] += 1
        if plan.hours is not None:
            zones = plan.number.zones
            if zones not in clear:
                clear[zones] = not _outside(plan, now)
            found.waiting += not clear[zones]
    found.repeated = Identities(hashes).repeated()
    found.to_dial = len(set(hashes)) if found.repeated else len(hashes)
    found.duplicates = len(hashes) - found.to_dial
    return found


def _outside(plan: Plan, now: datetime) -> bool:
    try:
        guard.refuse_hours(plan.number, plan.hours, now)
    except Refused:
        return True
    return False


class Sender(placing.Sender, Protocol):
    """A service that a worker may close."""

    def close(self) -> None:
        """Close the connections."""
        ...


@dataclass
class Tally:
    """What this run has done so far. `stopped` is why it ended before its end."""

    outcomes: Counter[str] = field(default_factory=Counter)
    errors: Counter[str] = field(default_factory=Counter)
    waiting: int = 0
    stopped: EvocallError | None = None
    failures_in_a_row: int = 0


class Run:
    """One run of a campaign: a pass over the table for every time that rows come into their hours.

    `stop` may be set from anywhere: no new call is begun then, and those in flight are finished and recorded.
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
        changed: Callable[[Tally], None] = lambda _: None,
    ) -> None:
        self.tally = Tally()
        self.stop = threading.Event()
        self._reader, self._order = reader, reader.order
        self._journal, self._pace = journal, pace
        self._repeated, self._username = repeated, username
        self._tell, self._changed = tell, changed
        self._crew = Crew(self._order.concurrency, make_service, self._dial, self._record)
        self._begun: set[int] = set()  # only where hours may make a second pass
        self._lock = threading.Lock()
        self._left = float("inf") if self._order.limit is None else self._order.limit

    def run(self) -> Tally:
        """Dial until all rows are done, or something stops it. Returns what was done."""
        try:
            while True:
                earliest = self._pass()
                self._crew.drain()
                if self.stop.is_set() or earliest is None or self._left <= 0 or not self._order.wait_for_hours:
                    return self.tally
                self._tell(f"{self.tally.waiting} rows wait for their hours, the first until {earliest:%H:%M} UTC.")
                self.stop.wait((earliest - datetime.now(UTC)).total_seconds())
                self._reader.refresh()
        finally:
            self._crew.close()
            self._record()

    def _record(self) -> None:
        """Put on disk what is known of the calls so far."""
        try:
            self._journal.flush()
        except JournalError as error:
            self._end(error)

    def _pass(self) -> datetime | None:
        """Dial all rows that may be dialled now; the first moment at which one more may, None when none waits."""
        self.tally.waiting = 0
        earliest: datetime | None = None
        seen: set[int] = set()
        for row, plan, identity in self._open_rows():
            if self.stop.is_set() or self._left <= 0:
                break
            value = digest(identity)
            if value in self._begun or value in seen:
                continue
            if value in self._repeated:
                seen.add(value)
            now = datetime.now(UTC)
            if _outside(plan, now):
                moment = guard.first_allowed(guard.zones_of(plan.number, now), plan.hours, now) if plan.hours else None
                self.tally.waiting += 1
                earliest = min(filter(None, (earliest, moment)), default=None)
                continue
            if plan.hours is not None or self._order.retry_unknown:
                self._begun.add(value)
            self._begin(row, plan, identity)
        return earliest

    def _open_rows(self) -> Iterator[tuple[Row, Plan, str]]:
        """The rows that are neither done nor bad; what is bad has been reported by the check."""
        for row in self._reader.table:
            if self._reader.done(self._reader.guess(row)) is not None:
                continue
            try:
                plan = self._reader.plan(row)
            except (UsageError, Refused):
                continue
            identity = identity_of(row, plan)
            if self._reader.done(identity) is None:
                yield row, plan, identity

    def _begin(self, row: Row, plan: Plan, identity: str) -> None:
        """Wait for a free worker, then for the next slot of the pace, and let the worker go."""
        while not self._crew.free(timeout=0.2):
            if self.stop.is_set():
                return
        self._wait_for_slot()
        if self.stop.is_set():
            self._crew.give_back()
            return
        self._left -= 1
        self._crew.hand((row, plan, identity))

    def _wait_for_slot(self) -> None:
        """Come back at the next slot of the pace, or when the run is stopped."""
        while True:
            wait = self._pace.take() - time.monotonic()
            if wait > 0:
                self.stop.wait(wait)
            if self.stop.is_set() or not self._pace.held():
                return

    def _pause(self, seconds: float) -> None:
        """Slow everybody down for as long as the service asks, and come back at a slot of the pace."""
        self._pace.hold(seconds)
        self._wait_for_slot()
        if self.stop.is_set():
            raise KeyboardInterrupt

    def _dial(self, service: Sender, item: tuple[Row, Plan, str]) -> None:
        """Place the call of one row; runs in a worker."""
        _, plan, identity = item
        terms = placing.Terms(
            identity,
            again=self._order.retry_unknown,
            username=self._username,
            campaign=self._order.campaign.name,
            patience=PATIENCE,
            hurry=True,
        )
        clock = placing.Clock(pause=self._pause)
        try:
            call = placing.place(plan, service, self._journal, terms, tell=lambda _: None, clock=clock)
        except EvocallError as error:
            self._failed(error)
        except Exception as error:  # noqa: BLE001 - a worker must not die in silence
            defect = ConfigError(f"a defect in evocall: {type(error).__name__}: {error}", code="internal")
            defect.call = Call(Outcome.UNKNOWN)
            self._failed(defect)
        else:
            self._succeeded(call)

    def _succeeded(self, call: Call) -> None:
        with self._lock:
            self.tally.outcomes[call.outcome.value] += 1
            self.tally.failures_in_a_row = 0
            self._changed(self.tally)

    def _failed(self, error: EvocallError) -> None:
        with self._lock:
            if isinstance(error, Refused) and error.code == WAITING:
                self.tally.waiting += 1
                return
            outcome = error.call.outcome if error.call else Outcome.NOT_PLACED
            self.tally.outcomes[outcome.value] += 1
            self.tally.errors[error.code] += 1
            if not isinstance(error, OutcomeUnknown | Interrupted):
                self.tally.failures_in_a_row += 1
            too_many = self.tally.failures_in_a_row >= self._order.max_failures
            if too_many or isinstance(error, FATAL) or error.code == "max_per_day":
                self._end(error)
            self._changed(self.tally)

    def _end(self, error: EvocallError) -> None:
        self.tally.stopped = self.tally.stopped or error
        self.stop.set()


class Crew:
    """Workers that place calls at the same time: as many as the pace needs, begun one by one, each with its service."""

    def __init__(
        self,
        most: int,
        make_service: Callable[[], Sender],
        work: Callable[[Sender, Any], None],
        rest: Callable[[], None] = lambda: None,
    ) -> None:
        self._make, self._work, self._rest = make_service, work, rest
        self._free = threading.Semaphore(most)
        self._idle = 0
        self._busy = 0
        self._lock = threading.Condition()
        self._threads: list[threading.Thread] = []
        self._items: SimpleQueue[Any] = SimpleQueue()

    def free(self, timeout: float) -> bool:
        """Take a place in the crew; False when none became free in time."""
        return self._free.acquire(timeout=timeout)

    def give_back(self) -> None:
        """The place is not needed after all."""
        self._free.release()

    def hand(self, item: Any) -> None:
        """Let a worker do the item, in the place taken before."""
        with self._lock:
            if self._idle:
                self._idle -= 1
            else:
                thread = threading.Thread(target=self._serve, args=(self._make(),), daemon=True)
                self._threads.append(thread)
                thread.start()
            self._busy += 1
        self._items.put(item)

    def drain(self) -> None:
        """Wait until nobody is busy."""
        with self._lock:
            self._lock.wait_for(lambda: self._busy == 0)

    def close(self) -> None:
        """Send the workers home; those still busy are left to themselves."""
        for _ in self._threads:
            self._items.put(None)

    def _serve(self, service: Sender) -> None:
        while (item := self._next()) is not None:
            try:
                self._work(service, item)
            finally:
                with self._lock:
                    self._busy -= 1
                    self._idle += 1
                    self._lock.notify_all()
                self._free.release()
        service.close()

    def _next(self) -> Any:
        """The next item; whoever has none for a moment does what can wait."""
        try:
            return self._items.get(timeout=BREATH)
        except Empty:
            self._rest()
            return self._items.get()


def outcome_of(reader: Reader, journal: Journal, row: Row) -> tuple[str, Call | None, EvocallError | None]:
    """What became of one row, for the file of results: an outcome, `invalid`, `refused` or `not_dialled`."""
    try:
        plan = reader.plan(row)
    except Refused as error:
        return "refused", None, error
    except UsageError as error:
        return "invalid", None, error
    key = Key(identity_of(row, plan), reader.order.campaign.name)
    record = journal.campaign_call(reader.order.campaign.profile, key)
    return (record.call.outcome.value, record.call, None) if record else ("not_dialled", None, None)
