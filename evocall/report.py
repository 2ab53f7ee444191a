"""What a batch says of itself: before anybody is asked, and when it is over."""

from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from typing import Any

from evocall.campaign import Tally
from evocall.errors import EvocallError, Incomplete, Interrupted, JournalError
from evocall.model import Profile
from evocall.reading import Checked, Reader
from evocall.wording import SCHEMA, account, flow_text, utc

OUTCOMES = ("placed", "already_placed", "not_placed", "unknown")


def calls_now(reader: Reader, found: Checked) -> int:
    """How many calls this run is about to place."""
    return min(found.to_dial, reader.order.limit or found.to_dial)


def preview(reader: Reader, profile: Profile, found: Checked) -> list[tuple[str, str]]:
    """What is about to happen, as lines of label and text."""
    order = reader.order
    count = calls_now(reader, found)
    duration = timedelta(seconds=round(count / order.pace))
    left_out = [
        (found.bad, "bad"),
        (found.denied, "on the deny list"),
        (found.duplicates, "duplicates"),
        (found.placed_before, "placed before"),
        (found.unknown_before, "perhaps placed before"),
    ]
    countries = ", ".join(f"{name} {number}" for name, number in found.countries.most_common(8))
    return [
        ("campaign", order.campaign.name),
        ("rows", f"{found.rows} in {reader.table.name}"),
        ("left out", ", ".join(f"{what}: {number}" for number, what in left_out if number) or "none"),
        ("to dial", f"{count}" + (f" of {found.to_dial}" if count < found.to_dial else "")),
        ("countries", countries or "none"),
        ("waiting", f"{found.waiting} outside their hours now" if found.waiting else "none"),
        account(profile.name, profile.username, profile.netloc),
        ("flow", flow_text(order.flow) if order.flow else "named by each row"),
        ("pace", f"{order.pace:g} a second"),
        ("ends", f"about {datetime.now().astimezone() + duration:%Y-%m-%d %H:%M} (in {duration})"),
    ]


def ending(reader: Reader, checked: Checked, tally: Tally, *, interrupted: bool) -> EvocallError | None:
    """How the run ended, as an error; None when every row of the file has been placed."""
    again = _again(reader)
    if interrupted:
        if isinstance(tally.stopped, JournalError):
            what = f"{_lost(tally)}{tally.stopped.message}"
        else:
            what = "the calls in flight were finished and recorded."
        return Interrupted(f"interrupted; {what}", hint=again)
    if tally.stopped is not None:
        error = tally.stopped
        error.message = f"The campaign was stopped: {_lost(tally)}{error.message}"
        if error.code != "campaign_changed":
            error.hint = f"{error.hint or ''} {again}".strip()
        error.call = None
        return error
    placed = checked.placed_before + tally.outcomes["placed"] + tally.outcomes["already_placed"]
    unknown = checked.unknown_before + tally.outcomes["unknown"]
    wanted = checked.rows - checked.duplicates
    if placed == wanted:
        return None
    rest = wanted - placed - unknown
    asking = "evocall reconcile asks whether they rang; --retry-unknown does too, and dials those not found again."
    hint = again if rest > checked.bad + denied(checked, tally) else asking if unknown else None
    return Incomplete(f"{placed} of {wanted} rows are placed, {unknown} may have been, {rest} are not.", hint=hint)


def _lost(tally: Tally) -> str:
    """What the counts of a run do not tell, and `evocall history` does."""
    if not tally.unrecorded:
        return ""
    calls = "1 call" if tally.unrecorded == 1 else f"{tally.unrecorded} calls"
    return f"what {calls} came to could not be recorded, so the journal shows unknown (evocall reconcile settles it). "


def denied(checked: Checked, tally: Tally) -> int:
    """How many rows are on the deny list, as far as it was read."""
    return checked.denied + tally.denied


def without_results(reader: Reader) -> Incomplete:
    """The end of a run that has placed all rows, and could not write what became of them."""
    return Incomplete(
        "all rows are placed, but the results could not be written.",
        hint=f"{_again(reader)} With another file for --results it writes them, and dials nothing.",
        code="results",
    )


def summary(reader: Reader, checked: Checked, tally: Tally, began: datetime) -> dict[str, Any]:
    """The one JSON object of a batch; times are UTC, the rate is in calls per second."""
    ended = datetime.now(UTC)
    seconds = max((ended - began).total_seconds(), 0.001)
    return {
        "schema": SCHEMA,
        "campaign": reader.order.campaign.name,
        "started": utc(began),
        "finished": utc(ended),
        "rows": checked.rows,
        "bad": checked.bad,
        "denied": denied(checked, tally),
        "duplicates": checked.duplicates,
        "placed_before": checked.placed_before,
        "unknown_before": checked.unknown_before,
        "to_dial": checked.to_dial,
        "waiting": tally.waiting,
        "outcomes": {name: tally.outcomes[name] for name in OUTCOMES},
        "errors": dict(tally.errors),
        "rate": round((tally.outcomes.total() - tally.outcomes["already_placed"]) / seconds, 3),
        "error": None,
    }


def _again(reader: Reader) -> str:
    return f"The same command goes on: evocall batch {reader.table.name} --campaign {reader.order.campaign.name} …"


def table(tally: Tally) -> Sequence[tuple[str, str]]:
    """The calls of this run by outcome, and by what went wrong."""
    rows = [(name.replace("_", " "), str(tally.outcomes[name])) for name in OUTCOMES if tally.outcomes[name]]
    rows += [(f"because of {code}", str(number)) for code, number in tally.errors.most_common()]
    rows += [("denied", str(tally.denied))] if tally.denied else []
    rows += [("waiting", str(tally.waiting))] if tally.waiting else []
    return rows or [("nothing dialled", "0")]
