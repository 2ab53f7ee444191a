"""`evocall reconcile`."""

from collections.abc import Sequence
from contextlib import ExitStack
from typing import TYPE_CHECKING, Annotated, Any

import typer

from evocall.commands import options
from evocall.errors import ExitCode, NotFound

if TYPE_CHECKING:
    from evocall.journal import Journal
    from evocall.model import Record
    from evocall.service import Service
    from evocall.settling import Finding

HEADINGS = ("call", "when", "number", "found", "session")
WORDS = {
    "placed": "it was placed",
    "not_found": "nothing, which proves nothing",
    "ambiguous": "several calls that it could be",
}


def reconcile(
    calls: Annotated[
        list[str] | None,
        typer.Argument(metavar="ID...", help="Only these calls, by local ID", show_default=False),
    ] = None,
    profile: options.ProfileOption = None,
    json: options.JsonOption = False,
    quiet: options.QuietOption = False,
    verbose: options.VerboseOption = False,
) -> None:
    """Settle calls whose outcome is unknown by asking the service.

    Exits with 0 when none is left unknown, else with 9. Not found proves nothing: such a call stays unknown.

    Examples:

      evocall reconcile

      evocall reconcile 0001 --json
    """
    from evocall import profiles, settling
    from evocall.journal import Journal
    from evocall.output import Screen, trace
    from evocall.target import target_of

    screen = Screen(as_json=json, quiet=quiet)
    found = []
    with Journal(profiles.journal_place(profile)) as journal, ExitStack() as open_:
        services: dict[tuple[str | None, str | None], Service] = {}
        for record in _named(journal, calls) if calls else _unknown(journal, profile):
            place = (record.call.profile, record.call.base_url)
            if place not in services:
                there = open_.enter_context(target_of(record, record.call.id or "", profile))
                services[place] = open_.enter_context(there.service(trace=trace if verbose else None))
            finding = settling.look(record, services[place], journal)
            placed = finding.verdict is settling.Verdict.PLACED
            found.append((settling.settle(record, finding, journal) if placed else record, finding))
    if json:
        screen.document([_document(*pair) for pair in found])
    elif found:
        screen.table(HEADINGS, [_row(*pair) for pair in found])
    else:
        screen.note("none of these calls has an unknown outcome." if calls else "no call has an unknown outcome.")
    if any(finding.verdict is not settling.Verdict.PLACED for _, finding in found):
        raise typer.Exit(ExitCode.UNKNOWN)


def _named(journal: "Journal", names: Sequence[str]) -> "list[Record]":
    """Those of the named calls whose outcome is unknown, each once."""
    from evocall.model import Outcome

    found = {}
    for name in names:
        record = journal.history.find(name)
        if record is None:
            raise NotFound(f"There is no call {name} in the journal.", hint="evocall history lists them.")
        if record.call.outcome is Outcome.UNKNOWN and not record.in_flight:
            found[record.call.id] = record
    return list(found.values())


def _unknown(journal: "Journal", name: str | None) -> "list[Record]":
    """The unknown calls of the profile at its present host, oldest first."""
    from evocall import paths, profiles
    from evocall.history import Filter
    from evocall.model import Outcome
    from evocall.target import placed_at

    profile = profiles.load(paths.config_file()).choose(name)
    unknown = list(journal.history.calls(Filter(profile=profile.name, outcome=Outcome.UNKNOWN)))
    return [record for record in reversed(unknown) if placed_at(record, profile) and not record.in_flight]


def _row(record: "Record", finding: "Finding") -> tuple[str, ...]:
    from evocall.wording import local

    call = record.call
    candidates = ", ".join(session.id for session in finding.candidates)
    return (call.id or "", local(call.requested_at), call.number or "", WORDS[finding.verdict], candidates)


def _document(record: "Record", finding: "Finding") -> dict[str, Any]:
    from evocall.wording import call_document

    return {
        **call_document(record.call),
        "found": finding.verdict,
        "candidates": [session.id for session in finding.candidates],
    }
