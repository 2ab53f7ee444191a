"""May this number be called now? Pure rules over a number, a clock, and what the journal knows of earlier calls.

Each raises with the rule's name, the callee's local time where it matters, and the first moment when it will say yes.
"""

import re
from collections.abc import Collection, Container, Sequence
from datetime import UTC, datetime, time, timedelta
from typing import TYPE_CHECKING

from evocall.clocks import zones_of
from evocall.errors import OutcomeUnknown, Refused, UsageError
from evocall.model import GUARDED, SANDBOX, Call, Earlier, Guard, Hours, Number, NumberClass

if TYPE_CHECKING:
    from zoneinfo import ZoneInfo

HOLD_BACK = timedelta(minutes=10)
HELD_BACK = "held_back"  # the code of the error about it
DAY = timedelta(hours=24)
DAYS_TO_LOOK_AHEAD = 8
QUARTER = timedelta(minutes=15)
MINUTE = timedelta(minutes=1)
NEEDS_ALLOW = frozenset(GUARDED) - {NumberClass.UNVERIFIED}
CLOCK_TIME = r"(?:[01][0-9]|2[0-3]):[0-5][0-9]"
HOURS = re.compile(rf"({CLOCK_TIME})-(?!\1)({CLOCK_TIME}|24:00)")
MIDNIGHT = time(0)


def refuse(number: Number, guard: Guard, *, denied: Container[str], allow: Collection[str]) -> None:
    """Raise Refused when the number's class, its country or the deny list forbids the call at any time."""
    refuse_class(number, allow)
    refuse_country(number, guard.countries)
    if number.e164 in denied:
        raise Refused(
            f"{number.international} is on the deny list {guard.deny}.",
            hint="Take it off the list if it may be called.",
            code="deny_list",
        )


def refuse_class(number: Number, allow: Collection[str]) -> None:
    """Raise Refused when the number's class needs an `--allow` that was not given."""
    if number.verified and number.kind not in NEEDS_ALLOW:
        return
    needed = [(number.kind, f"is a {number.kind} number")] if number.kind in NEEDS_ALLOW else []
    if not number.verified:
        needed.append((NumberClass.UNVERIFIED, "has a possible length, but the numbering plan does not know it"))
    for kind, why in needed:
        if kind not in allow:
            raise Refused(
                f"{number.international} {why}.",
                hint=f"If you mean to call it, add --allow {kind}.",
                code=f"class_{kind.replace('-', '_')}",
            )


def refuse_country(number: Number, countries: Sequence[str] | None) -> None:
    """Raise Refused for a country that is not among the allowed ones; a number of no country is in none."""
    if countries is not None and number.country not in countries:
        raise Refused(
            f"{number.international} is in {number.country or 'no country'}, and this profile does not call there.",
            hint=f"guard.countries of the profile allows only {', '.join(countries)}.",
            code="country",
        )


def read_hours(text: str) -> Hours:
    """`HH:MM-HH:MM`, the end not included; it may cross midnight, and 24:00 is the end of the day."""
    match = HOURS.fullmatch(text)
    if match is None:
        raise UsageError(f"{text!r} are not hours.", hint="Write them as 08:00-21:00.", code="invalid_hours")
    return Hours(text, time.fromisoformat(match[1]), MIDNIGHT if match[2] == "24:00" else time.fromisoformat(match[2]))


def refuse_hours(number: Number, hours: Hours | None, now: datetime) -> None:
    """Raise Refused unless every zone that the number may be in is inside the hours at this moment."""
    if hours is None or hours.begin == hours.end:
        return
    zones = zones_of(number, now)
    if not zones or len(zones) < len(number.zones):
        raise Refused(
            f"{number.international} may only be called {hours.text} its time, and its time zone is not known.",
            hint="--between 00:00-24:00 calls it at any hour.",
            code="hours",
        )
    if all(_inside(now, zone, hours) for zone in zones):
        return
    local = " to ".join(dict.fromkeys(f"{now.astimezone(zone):%H:%M}" for zone in (zones[0], zones[-1])))
    raise Refused(
        f"It is {local} where {number.international} is, and it may only be called {hours.text}.",
        hint=_first_moment(zones, hours, now),
        code="hours",
    )


def _inside(moment: datetime, zone: "ZoneInfo", hours: Hours) -> bool:
    local = moment.astimezone(zone).time()
    if hours.end == MIDNIGHT:
        return local >= hours.begin
    if hours.begin < hours.end:
        return hours.begin <= local < hours.end
    return local >= hours.begin or local < hours.end


def first_allowed(zones: "Sequence[ZoneInfo]", hours: Hours, now: datetime) -> datetime | None:
    """The first moment from now on that is inside the hours in all zones; None when there is none within a week."""
    moments = {now}
    for zone in zones:
        today = now.astimezone(zone).date()
        for day in range(DAYS_TO_LOOK_AHEAD):
            opening = datetime.combine(today + timedelta(days=day), hours.begin, tzinfo=zone)
            moments.update(opening.replace(fold=fold).astimezone(UTC) for fold in (0, 1))
    week = [now + timedelta(days=day) for day in range(DAYS_TO_LOOK_AHEAD + 1)]
    if any(len({moment.astimezone(zone).utcoffset() for moment in week}) > 1 for zone in zones):
        # Clocks are changed at quarters of an hour, and may jump into the hours.
        quarter = now.replace(minute=now.minute // 15 * 15, second=0, microsecond=0)
        moments.update(quarter + n * QUARTER for n in range(1, DAYS_TO_LOOK_AHEAD * 96))
    inside = (m for m in sorted(moments) if m >= now and all(_inside(m, zone, hours) for zone in zones))
    return next(inside, None)


def _first_moment(zones: "Sequence[ZoneInfo]", hours: Hours, now: datetime) -> str:
    moment = first_allowed(zones, hours, now)
    if moment is None:
        return "Its zones lie so far apart that there is no such moment; --between sets other hours."
    return f"Allowed from {moment:%Y-%m-%d %H:%M} UTC, which is {moment.astimezone(zones[0]):%H:%M} there."


def may_dial(
    number: Number, guard: Guard, earlier: Earlier, *, once: str | None, again: bool, caps_too: bool = False
) -> Call | None:
    """None when the call may be placed; the earlier call when its once-key has been used up.

    Raises OutcomeUnknown when an earlier call may have rung, unless `again`, and Refused when a cap is reached, unless
    `again` is said of `caps_too`.
    """
    if once is not None and earlier.placed is not None:
        return earlier.placed
    if earlier.unknown is not None and not again:
        raise _held_back(earlier.unknown, once)
    if not (again and caps_too):
        way_out = ", or now with --again" if caps_too else ""
        _refuse_cap("max_per_day", guard.max_per_day, earlier.today, "This profile", way_out)
        if guard.max_per_number_per_day is not None:  # a number's form for people takes longer than all of this
            cap, calls = guard.max_per_number_per_day, earlier.today_to_number
            _refuse_cap("max_per_number_per_day", cap, calls, number.international, way_out)
    return None


def _refuse_cap(rule: str, cap: int | None, calls: Sequence[datetime], whose: str, way_out: str) -> None:
    """Refuse when as many calls as the cap allows were placed, or may have been, within the last 24 hours."""
    if cap is None or len(calls) < cap:
        return
    # Said in whole minutes, so the next one if a few seconds are missing.
    when = f"from {calls[-cap] + DAY + MINUTE - timedelta(microseconds=1):%Y-%m-%d %H:%M} UTC on" if cap else "never"
    raise Refused(
        f"{whose} has had {len(calls)} calls within 24 hours, and {rule} is {cap}.",
        hint=f"Allowed again {when}{way_out}.",
        code=rule,
    )


def _held_back(earlier: Call, once: str | None) -> OutcomeUnknown:
    when = f"{earlier.requested_at:%Y-%m-%d %H:%M:%S} UTC" if earlier.requested_at else "an unknown time"
    ask = "" if earlier.profile == SANDBOX else f"evocall reconcile {earlier.id} asks whether it was placed; "
    why = f"for the key {once!r}" if once is not None else "to this number with this flow"
    error = OutcomeUnknown(
        f"nothing was dialled now: the call {earlier.id} {why}, of {when}, has an unknown outcome and may have rung.",
        hint=f"{ask}--again dials all the same, and may ring twice.",
        code=HELD_BACK,
    )
    error.call = earlier
    return error
