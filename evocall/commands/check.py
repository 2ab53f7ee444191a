"""`evocall check`."""

from datetime import UTC, datetime
from typing import TYPE_CHECKING, Annotated, Any

import typer

from evocall.commands import options
from evocall.errors import EvocallError, ExitCode, InvalidNumber, OutcomeUnknown, Refused

if TYPE_CHECKING:
    from evocall.model import Number
    from evocall.output import Screen
    from evocall.planning import Planner

    Verdict = tuple[str, Number | None, EvocallError | None]

HEADINGS = ("number", "E.164", "national", "country", "class", "time zones", "there now", "verdict")
MOST_ZONES = 2


def check(
    numbers: Annotated[
        list[str],
        typer.Argument(metavar="NUMBER...", help="Numbers as you would give them to dial", show_default=False),
    ],
    region: options.RegionOption = None,
    profile: options.ProfileOption = None,
    between: options.BetweenOption = None,
    allow: options.AllowOption = None,
    json: options.JsonOption = False,
    quiet: options.QuietOption = False,
) -> None:
    """Read numbers exactly as dial would and say what it would do, without service or login.

    Exits with 0 when all may be dialled, 2 when one is not a number, else with 3 (refused) or 9 (held back). It looks
    into the journal; one in PostgreSQL is connected to, and 10 means that it is not there.

    Examples:

      evocall check +18145550100 +448081570000

      evocall check --region US '(814) 555-0100' --json
    """
    from evocall import paths, profiles
    from evocall.output import Screen
    from evocall.planning import Planner

    planner = Planner(
        profiles.load(paths.config_file()).choose(profile), region=region, between=between, allow=allow or ()
    )
    verdicts = [_verdict(planner, typed) for typed in numbers]
    _show(Screen(as_json=json, quiet=quiet), verdicts)
    codes = [error.exit_code for _, _, error in verdicts if error is not None]
    if codes:
        raise typer.Exit(ExitCode.USAGE if ExitCode.USAGE in codes else codes[0])


def _verdict(planner: "Planner", typed: str) -> "Verdict":
    """What dial would say to the number now; a refused number is still shown as it was understood."""
    from evocall import guard, phone, places, placing
    from evocall.model import Flow, Plan

    try:
        number = phone.read(typed, region=planner.region, contacts=planner.profile.contacts)
    except (InvalidNumber, Refused) as error:
        return typed, None, error
    try:
        planner.callee(typed)
        guard.refuse_hours(number, planner.hours, datetime.now(UTC))
        place = places.of(planner.profile)
        if places.exists(place):
            flow = planner.flow(None) if planner.profile.flow else Flow("", pending=True)
            plan = Plan(number, flow, None, planner.profile, planner.hours)
            placing.rehearse(plan, place, placing.Terms())
    except (Refused, OutcomeUnknown) as error:
        return typed, number, error
    return typed, number, None


def _show(screen: "Screen", verdicts: "list[Verdict]") -> None:
    if screen.as_json:
        screen.document([_document(*verdict) for verdict in verdicts])
    elif screen.quiet:
        for error in (error for _, _, error in verdicts if error):
            screen.failure(error, calling=False)
    else:
        rows = [_row(*verdict) for verdict in verdicts]
        screen.table(HEADINGS, rows, spare=("national", "time zones", "country", "class", "there now"))


def _document(typed: str, number: "Number | None", error: EvocallError | None) -> dict[str, Any]:
    from evocall.clocks import local_times

    times = local_times(number, datetime.now(UTC)) if number else []
    return {
        "typed": typed,
        "number": number and number.e164,
        "national": number and number.national,
        "international": number and number.international,
        "country": number and number.country,
        "class": number and number.kind,
        "time_zones": list(number.zones) if number else [],
        "local_times": sorted({time.isoformat(timespec="minutes") for time in times}),
        "verdict": _word(error),
        "error": error and error.document(),
    }


def _row(typed: str, number: "Number | None", error: EvocallError | None) -> tuple[str, ...]:
    from evocall.clocks import local_times

    verdict = f"{_word(error)}: {error}" if error else "ok"
    if number is None:
        return (typed, "", "", "", "", "", "", verdict)
    times = [f"{time:%H:%M}" for time in sorted(local_times(number, datetime.now(UTC)))]
    there = " to ".join(dict.fromkeys((times[0], times[-1]))) if times else "not known"
    more = len(number.zones) - MOST_ZONES
    zones = ", ".join(number.zones[:MOST_ZONES]) + (f" and {more} more" if more > 0 else "")
    return (typed, number.e164, number.national, number.country or "none", number.kind, zones, there, verdict)


def _word(error: EvocallError | None) -> str:
    if error is None:
        return "ok"
    if isinstance(error, OutcomeUnknown):
        return "held back"
    return "not a number" if isinstance(error, InvalidNumber) else "refused"
