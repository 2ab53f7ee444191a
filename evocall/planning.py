"""What the user typed -> a call that has passed every local check. No network, no login."""

from collections.abc import Collection
from datetime import UTC, datetime

from evocall import denylist, guard, phone
from evocall.errors import EvocallError, Refused, UsageError
from evocall.model import GUARDED, Call, Flow, Hours, Number, Outcome, Plan, Profile


def plan(
    profile: Profile,
    number: str,
    *,
    flow: str | None = None,
    caller_id: str | None = None,
    region: str | None = None,
    between: str | None = None,
    allow: Collection[str] = (),
    now: datetime | None = None,
) -> Plan:
    """The call as `dial` would place it; options beat the profile's defaults.

    Raises UsageError for what cannot be read, Refused for what a guard forbids; the error carries the call.
    """
    try:
        hours = hours_of(profile, between)
        callee = callee_of(profile, number, region=region, hours=hours, allow=allow, now=now)
        chosen = flow_of(profile, flow)
        caller = caller_of(profile, caller_id, region=region, allow=allow)
        if caller is not None and caller.e164 == callee.e164:
            raise UsageError(
                f"{callee.international} is both callee and caller ID.",
                hint="Choose another --caller-id, or none: the service then picks one.",
                code="same_number",
            )
    except EvocallError as error:
        error.call = Call(Outcome.NOT_PLACED, number=number, profile=profile.name, base_url=profile.base_url)
        raise
    return Plan(callee, chosen, caller, profile, hours)


def callee_of(
    profile: Profile,
    number: str,
    *,
    region: str | None,
    hours: Hours | None,
    allow: Collection[str],
    now: datetime | None = None,
) -> Number:
    """The number to ring, read, and asked of every guard that needs no journal."""
    for name in allow:
        if name not in GUARDED:
            raise UsageError(f"--allow {name!r} is not a number class.", hint=f"The classes: {', '.join(GUARDED)}.")
    region = region or profile.region
    callee = phone.read(number, region=region, contacts=profile.contacts)
    denied = denylist.load(profile, region)
    guard.refuse(callee, profile.guard, hours=hours, denied=denied, allow=allow, now=now or datetime.now(UTC))
    return callee


def caller_of(profile: Profile, caller_id: str | None, *, region: str | None, allow: Collection[str]) -> Number | None:
    """The caller ID, checked as strictly as the callee; None lets the service pick one."""
    text = caller_id or profile.caller_id
    if text is None:
        return None
    try:
        caller = phone.read(text, region=region or profile.region)
        guard.refuse_class(caller, allow)
    except (UsageError, Refused) as error:
        error.message = f"Caller ID: {error.message}"
        raise
    return caller


def flow_of(profile: Profile, flow: str | None) -> Flow:
    """The flow to run: an alias of the profile, else what was typed, be it a name or an ID (with or without `id:`)."""
    wanted = flow or profile.flow
    if wanted is None or wanted in {"", "id:"}:
        raise UsageError(
            "No flow was named.",
            hint=f"Add --flow, or set one for good: evocall profile set flow NAME --profile {profile.name}",
            code="no_flow",
        )
    if wanted in profile.flows:
        return Flow(profile.flows[wanted].removeprefix("id:"), wanted)
    return Flow(wanted.removeprefix("id:"))


def hours_of(profile: Profile, between: str | None) -> Hours | None:
    """The hours at the callee's clock in which the call may be placed; None for any hour."""
    text = between or profile.guard.hours
    return None if text is None else guard.read_hours(text)
