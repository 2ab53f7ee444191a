"""The rows of a campaign with their plans: what may be dialled, what was dialled, and what is wrong with the rest.

Rows are read again for each pass, and never held: a million of them take the memory of a few numbers each.
"""

from collections import Counter
from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from datetime import datetime

from evocall import guard, rows
from evocall.earlier import refuse_long
from evocall.errors import EvocallError, NotFound, Refused, UsageError
from evocall.identities import Identities, digest
from evocall.journal import Journal
from evocall.model import Call, Campaign, Flow, Outcome, Plan
from evocall.planning import Planner
from evocall.rows import Row, Table

MOST_IN_FLIGHT = 64
UNPLANNED = (UsageError, Refused, NotFound)  # what is wrong with a row


@dataclass(frozen=True)
class Order:
    """What the user asked for. `pace` is in calls per second, `limit` in rows dialled by this run.

    `flow` is that of rows without one.
    """

    campaign: Campaign
    pace: float
    flow: Flow | None = None
    concurrency: int = MOST_IN_FLIGHT
    limit: int | None = None
    skip_invalid: bool = False
    retry_unknown: bool = False
    max_failures: int = 10
    wait_for_hours: bool = True


@dataclass
class Checked:
    """What the check of the whole table has found.

    `repeated` are the identities that stand in it more than once, `left_out` the lines of rows that are bad or denied.
    """

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
    left_out: set[int] = field(default_factory=set)


class Reader:
    """Rows with their plans, in the order of the table, skipping what need not be read.

    `again` are the rows that may be dialled again although their outcome is unknown, each with the name of the call
    that the service was asked about.
    """

    def __init__(self, table: Table, planner: Planner, order: Order, journal: Journal | None) -> None:
        self.table, self.planner, self.order = table, planner, order
        self.again: Mapping[str, str | None] = {}
        self._journal = journal
        self._newest: int | None = None
        self._elsewhere: dict[int, Outcome | None] = {}
        self._ever_elsewhere: set[int] = set()
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
        self._look_elsewhere()
        self._newest = self._journal.history.newest()
        self._elsewhere.clear()
        self.placed, self.unknown = Identities(), Identities()
        for key, outcome in self._journal.campaigns.keys(self.order.campaign):
            (self.placed if outcome is Outcome.PLACED else self.unknown).add(digest(key))
        self.placed.sort()
        self.unknown.sort()

    def done(self, identity: str) -> Outcome | None:
        """*Placed* or *unknown* for a row that must not be dialled, None for one that may."""
        value = digest(identity)
        if value in self.placed:
            return Outcome.PLACED
        dialled_again = identity in self.again and value not in self._ever_elsewhere
        return Outcome.UNKNOWN if value in self.unknown and not dialled_again else None

    def taken(self, identity: str) -> bool:
        """Whether another process has begun the row since the last `refresh`, and has not failed with it."""
        value = digest(identity)
        if value not in self._elsewhere:
            self._look_elsewhere()
        return self._elsewhere.get(value, Outcome.NOT_PLACED) is not Outcome.NOT_PLACED

    def _look_elsewhere(self) -> None:
        """Take notice of the rows that other processes have begun since the last look."""
        if self._journal is None or self._newest is None:
            return
        for number, key, outcome in self._journal.campaigns.begun_elsewhere(self.order.campaign, self._newest):
            self._newest = number
            self._elsewhere[digest(key)] = outcome
            self._ever_elsewhere.add(digest(key))

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
                plan = self.planner.plan(text, flow=flow, caller_id=caller_id or self.order.campaign.caller_id)
                refuse_long(identity_of(row, plan))
                return plan
        except UsageError as error:
            harm = rows.damage(text, self.planner.region)
            if harm is None:
                raise
            raise UsageError(f"{error} Perhaps {harm}.", hint=error.hint, code="spreadsheet") from None
        raise UsageError(f"{text!r} is not a phone number: {harm}.", code="spreadsheet")

    def identity_of_refused(self, row: Row) -> str:
        """The row's identity although its number must not be called; that of no row for one that nobody can read."""
        number = row.number.strip()
        with suppress(*UNPLANNED):
            number = self.planner.read(number).e164
        return self.guess(row._replace(number=number))

    def _flow_id(self, flow: str) -> str:
        if flow not in self._flows:
            with suppress(UsageError, NotFound):
                self._flows[flow] = self.planner.flow(flow.strip() or self.order.campaign.flow).same
        return self._flows.get(flow, "")


def identity_of(row: Row, plan: Plan) -> str:
    """What makes a row the same row: its key, or else its number and flow."""
    return row.key.strip() or f"{plan.number.e164} {plan.flow.same}"


def check(reader: Reader, complain: Callable[[Row, EvocallError], None], now: datetime) -> Checked:
    """Read the whole table; `complain` hears of each bad row."""
    found = Checked()
    identities = Identities()
    clear: dict[tuple[str, ...], bool] = {}
    for row in reader.table:
        found.rows += 1
        done = reader.done(reader.guess(row)) if reader.placed or reader.unknown else None
        if done is None:
            try:
                plan = reader.plan(row)
            except UNPLANNED as error:
                complain(row, error)
                found.left_out.add(row.line)
                found.denied += error.code == "deny_list"
                found.bad += error.code != "deny_list"
                continue
            identity = identity_of(row, plan)
            done = reader.done(identity)
        if done is not None:
            found.placed_before += done is Outcome.PLACED
            found.unknown_before += done is Outcome.UNKNOWN
            continue
        identities.add(digest(identity))
        found.countries[plan.number.country or "none"] += 1
        if plan.hours is not None:
            zones = plan.number.zones
            if zones not in clear:
                clear[zones] = not outside(plan, now)
            found.waiting += not clear[zones]
    identities.sort()
    found.repeated = identities.repeated()
    found.to_dial = identities.different() if found.repeated else len(identities)
    found.duplicates = len(identities) - found.to_dial
    return found


def outside(plan: Plan, now: datetime) -> bool:
    """Whether the hours of the call forbid it at this moment."""
    try:
        guard.refuse_hours(plan.number, plan.hours, now)
    except Refused:
        return True
    return False


def outcome_of(reader: Reader, journal: Journal, row: Row) -> tuple[str, Call | None, EvocallError | None]:
    """What became of one row, for the file of results: an outcome, `invalid`, `refused` or `not_dialled`."""
    try:
        plan = reader.plan(row)
    except Refused as error:
        identity = reader.identity_of_refused(row)  # it may have been placed before its number was denied
        otherwise: tuple[str, Call | None, EvocallError | None] = ("refused", None, error)
    except UNPLANNED as error:
        return "invalid", None, error
    else:
        identity, otherwise = identity_of(row, plan), ("not_dialled", None, None)
    record = journal.campaigns.call(reader.order.campaign, identity)
    return (record.call.outcome.value, record.call, None) if record else otherwise
